using RbeMl.Layers;
using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Files;
using RbeMl.MLNet.Tokens;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.MLNet.Classification;

/// <summary>Everything that a fitted classifier is made of, and its bytes.</summary>
/// <param name="TextColumn">The column that is read.</param>
/// <param name="Names">The columns that are added.</param>
/// <param name="Labels">The classes.</param>
/// <param name="Classifier">Model and head.</param>
/// <param name="Tokenizer">Turns texts into ids; null for a model of token ids.</param>
/// <param name="Limits">What the model takes.</param>
internal sealed record TextClassificationModel(
    string TextColumn, ClassColumnNames Names, ClassLabels Labels, SequenceClassifier<float> Classifier, ITokenizer? Tokenizer, TokenLimits Limits)
{
    private const int Most = 1 << 20;

    /// <summary>Writes everything.</summary>
    public void Write(BinaryWriter writer)
    {
        writer.Write(TextColumn);
        writer.Write(Names.PredictedLabel);
        writer.Write(Names.Score);
        writer.Write(Names.Probability);
        writer.Write(Labels.Count);
        writer.Write(Labels.IsBinary);
        writer.Write(Labels.Values is not null);
        Labels.Values?.Write(writer);
        writer.Write(Limits.Context);
        writer.Write(Limits.KeepEnd);
        writer.Flush();
        ClassifierFile.Save(writer.BaseStream, Classifier, Tokenizer);
    }

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    public static TextClassificationModel Read(BinaryReader reader, string component)
    {
        string text = ColumnName.Read(reader, nameof(TextColumn));
        ClassColumnNames names = new(
            ColumnName.Read(reader, nameof(ClassColumnNames.PredictedLabel)), ColumnName.Read(reader, nameof(ClassColumnNames.Score)),
            ColumnName.Read(reader, nameof(ClassColumnNames.Probability)));
        int count = reader.ReadInt32();
        if (count is < 2 or > Most) throw Damaged($"hold {count} classes");
        bool binary = reader.ReadBoolean();
        if (binary && count != 2) throw Damaged($"hold {count} classes of a Boolean label, which has 2");
        LabelValues? values = reader.ReadBoolean() ? LabelValues.Read(reader, count, Damaged) : null;
        int context = reader.ReadInt32();
        bool keepEnd = reader.ReadBoolean();
        ClassifierBundle bundle = ClassifierFile.Load(reader.BaseStream, component);
        try
        {
            SavedTokenizer.RequireRead(component, bundle.TokenizerProblem);
            TransformerConfig config = bundle.Classifier.Model.Config;
            if (bundle.Classifier.Config.Classes != count) throw Damaged($"name {count} classes for a head of {bundle.Classifier.Config.Classes}");
            if (context < (bundle.Classifier.Model.Encoder is null ? 1 : TokenLimits.Ends + 1) || context > config.MaxSequenceLength)
            {
                throw Damaged($"name a context of {context} tokens for {config.MaxSequenceLength} positions");
            }

            return new TextClassificationModel(text, names, new ClassLabels(count, binary, values), bundle.Classifier, bundle.Tokenizer,
                new TokenLimits(config.Vocabulary, context, keepEnd, bundle.Classifier.Model.Encoder));
        }
        catch
        {
            bundle.Dispose();
            throw;
        }

        Exception Damaged(string problem) => ComponentFile.Bad(component, $"{problem}. They are damaged; save the component again.");
    }
}
