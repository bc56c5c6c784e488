using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Cli.Classify;

/// <summary>Texts as a classifier's model reads them; too long ones are cut.</summary>
internal sealed class ClassifierTexts(TransformerModel<float> model, ITokenizer tokenizer)
{
    private const int PassTexts = 256;

    /// <summary>The ids of a text.</summary>
    /// <param name="file">Where it stands, for messages.</param>
    /// <param name="line">Its line.</param>
    /// <param name="text">The text.</param>
    /// <exception cref="RbeFileException">A language model has nothing to read in it.</exception>
    public int[] Encode(string file, int line, string text)
    {
        int most = model.Encoder?.MaxTokens ?? model.Config.MaxSequenceLength;
        if (model.Encoder is { } settings && tokenizer is WordPieceTokenizer pieces) return pieces.EncodeSequence(settings.Prompt(null) + text, most);
        int[] ids = tokenizer.EncodeFor(text, model.Config.Vocabulary);
        if (ids.Length == 0) throw new RbeFileException(file, $"line {line} has an empty text, of which the model sees nothing. Leave the row out.");
        return ids.Length <= most ? ids : ids[..most];
    }

    /// <summary>Probabilities of the classes, row by row.</summary>
    /// <param name="classifier">The classifier of this model.</param>
    /// <param name="texts">Ids of the texts.</param>
    /// <param name="threads">0 for one a processor.</param>
    /// <param name="progress">Told how many are done.</param>
    /// <param name="cancel">Ends the work.</param>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static IEnumerable<float[]> Probabilities(SequenceClassifier<float> classifier, IReadOnlyList<int[]> texts, int threads,
        Action<int> progress, CancellationToken cancel)
    {
        using Workspace<float> workspace = new(threads);
        int classes = classifier.Config.Classes;
        for (int first = 0; first < texts.Count; first += PassTexts)
        {
            cancel.ThrowIfCancellationRequested();
            int[][] part = [.. texts.Skip(first).Take(PassTexts)];
            float[] rows = new float[part.Length * classes];
            classifier.Probabilities([.. part.SelectMany(ids => ids)], [.. part.Select(ids => ids.Length)], workspace, rows);
            for (int i = 0; i < part.Length; i++) yield return rows[(i * classes)..((i + 1) * classes)];
            progress(first + part.Length);
        }
    }
}
