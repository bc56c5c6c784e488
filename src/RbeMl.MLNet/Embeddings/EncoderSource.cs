using RbeMl.Files;
using RbeMl.Models;

namespace RbeMl.MLNet.Embeddings;

/// <summary>The encoder of a component: loaded, or a copy of one in hand, so that it is the component's own.</summary>
internal static class EncoderSource
{
    /// <summary>Takes the encoder.</summary>
    /// <param name="path">Where to load it from; null for the one in hand.</param>
    /// <param name="encoder">One in hand; it stays its owner's.</param>
    /// <param name="maxTokens">Tokens of a text; null for the encoder's.</param>
    /// <param name="longTexts">What is done with longer ones; null for the encoder's.</param>
    /// <param name="threads">Threads of a call.</param>
    /// <exception cref="RbeFileException">No encoder can be read there.</exception>
    /// <exception cref="InvalidSettingException">The tokens are out of range.</exception>
    /// <exception cref="ObjectDisposedException">The one in hand is disposed.</exception>
    public static SentenceEncoder Take(string? path, SentenceEncoder? encoder, int? maxTokens, LongTexts? longTexts, int threads)
    {
        SentenceEncoder source = path is null ? encoder! : ModelSource.LoadEncoder(path, threads);
        if (path is not null && maxTokens is null && longTexts is null) return source;
        try
        {
            EncoderSettings settings = source.Settings with
            {
                MaxTokens = maxTokens ?? source.Settings.MaxTokens,
                LongTexts = longTexts ?? source.Settings.LongTexts,
            };
            settings.Validate(source.Model.Config);
            return Own(new TransformerModel<float>(source.Model.GetWeights() with { Encoder = settings }), source, settings, threads);
        }
        finally
        {
            if (path is not null) source.Dispose();
        }
    }

    /// <summary>An encoder of a model that is to be its own, with the tokenizer of another.</summary>
    public static SentenceEncoder Own(TransformerModel<float> model, SentenceEncoder other, EncoderSettings settings, int threads)
    {
        try
        {
            return new SentenceEncoder(new ModelBundle(model, other.Tokenizer) { Encoder = settings }, threads);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Reads an encoder that a component was saved with.</summary>
    /// <param name="reader">The bytes.</param>
    /// <param name="component">The component, for messages.</param>
    /// <param name="threads">Threads of a call.</param>
    /// <exception cref="RbeFileException">They hold no encoder.</exception>
    public static SentenceEncoder Read(BinaryReader reader, string component, int threads)
    {
        ModelBundle bundle = ModelFile.Load(reader.BaseStream, component);
        try
        {
            Tokens.SavedTokenizer.RequireRead(component, bundle.TokenizerProblem);
            return new SentenceEncoder(bundle, threads);
        }
        catch
        {
            bundle.Dispose();
            throw;
        }
    }

    /// <summary>Writes what <see cref="Read"/> reads.</summary>
    public static void Write(BinaryWriter writer, SentenceEncoder encoder)
    {
        writer.Flush();
        ModelFile.Save(writer.BaseStream, encoder.Model, encoder.Tokenizer);
    }
}
