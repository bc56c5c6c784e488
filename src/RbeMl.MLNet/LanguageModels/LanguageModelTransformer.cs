using Microsoft.ML;
using Microsoft.ML.Runtime;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Files;
using RbeMl.MLNet.Rows;
using RbeMl.MLNet.Runtime;
using RbeMl.MLNet.Tokens;
using RbeMl.MLNet.Training;
using RbeMl.Models;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.MLNet.LanguageModels;

/// <summary>
/// Scores and continues texts with a GPT-2 model of compressed blocks. The perplexity is exp of the mean nats a predicted token; a text longer than the
/// context is measured in windows of it, each token but the first predicted once. A row without text, with fewer than two tokens, or with something that
/// the model does not know has a perplexity of NaN, and without tokens an empty continuation; other rows do not notice. A continuation depends on the
/// seed and the row's own text only. Each output is computed when it is read.
/// </summary>
public sealed class LanguageModelTransformer : RbeTransformer, ILoadable<LanguageModelTransformer>
{
    // 2: with end tokens, stop strings, repetition penalty and min-p. 3: with the cache format.
    private const ushort Version = 3;

    internal LanguageModelTransformer(
        IHostEnvironment environment, LanguageModelSettings settings, TransformerModel<float> model, ITokenizer? tokenizer,
        TrainingSummary summary, ScoringSettings scoring)
        : base(environment, Name, Version)
    {
        settings.Generation.Validate(model.Config.Vocabulary);
        (Settings, Model, Tokenizer, Summary) = (settings, model, tokenizer, summary);
        Scoring = scoring;
        Pool = new WorkspacePool(scoring.Threads);
        Generators = new GeneratorPool(model, Pool);
    }

    static string ILoadable<LanguageModelTransformer>.Name => Name;

    static ushort ILoadable<LanguageModelTransformer>.Version => Version;

    /// <summary>How it was trained.</summary>
    public TrainingSummary Summary { get; }

    /// <summary>What turns texts into ids and back; null for a model of token ids.</summary>
    public ITokenizer? Tokenizer { get; }

    internal static string Name => "RbeLanguageModel";

    internal DeltaModel? Delta { get; init; }

    internal LanguageModelSettings Settings { get; }

    internal TransformerModel<float> Model { get; }

    internal ScoringSettings Scoring { get; }

    internal WorkspacePool Pool { get; }

    internal GeneratorPool Generators { get; }

    /// <summary>
    /// A copy of the model, the caller's to train and to dispose. (The transformer itself is immutable and needs no disposing: its weights are freed with it.)
    /// </summary>
    public TransformerModel<float> CopyModel() => new(Model.GetWeights());

    /// <summary>
    /// Saves the delta that was trained, without its model: a small file for <see cref="FineTuningOptions.DeltaPath"/>, and for
    /// <c>--apply-delta</c> of the command. A result that was saved and loaded has the delta in its model, and cannot save it alone any more.
    /// </summary>
    /// <param name="path">The file; one that is there is replaced.</param>
    /// <exception cref="InvalidOperationException">There is no delta, or the result was loaded.</exception>
    /// <exception cref="RbeFileException">The file cannot be written.</exception>
    public void SaveDelta(string path) => DeltaSource.Save(path, Delta);

    static LanguageModelTransformer ILoadable<LanguageModelTransformer>.Read(IHostEnvironment environment, BinaryReader reader, int version)
    {
        TrainingSummary summary = TrainingSummary.Read(reader);
        ScoringSettings scoring = ScoringSettings.Read(reader);
        LanguageModelSettings settings = LanguageModelSettings.Read(reader, version);
        ModelBundle bundle = ModelFile.Load(reader.BaseStream, Name);
        try
        {
            SavedTokenizer.RequireRead(Name, bundle.TokenizerProblem);
            int positions = bundle.Model.Config.MaxSequenceLength;
            if (settings.Context < 2 || settings.Context > positions) throw Damaged($"name a context of {settings.Context} tokens for {positions} positions");
            if (settings.GeneratedText is not null && bundle.Tokenizer is null) throw Damaged("name a column of texts for a model without tokenizer");
            if (!bundle.Model.Config.Causal) throw Damaged("hold a model that is not causal");
            return new LanguageModelTransformer(environment, settings, bundle.Model, bundle.Tokenizer, summary, scoring);
        }
        catch
        {
            bundle.Dispose();
            throw;
        }

        static RbeFileException Damaged(string problem) => ComponentFile.Bad(Name, $"{problem}. They are damaged; save the component again.");
    }

    internal void WarnOfMissingRow()
    {
        WarnOnce("A row has fewer than two tokens in '{0}', or something that the model does not know: its perplexity is NaN. Further "
            + "rows of the kind are not reported.", Settings.TextColumn);
    }

    private protected override RowMapping Bind(DataViewSchema input) => new Mapping(this, input);

    private protected override void Write(BinaryWriter writer)
    {
        SavedTokenizer.Require(Tokenizer);
        Summary.Write(writer);
        Scoring.Write(writer);
        Settings.Write(writer);
        writer.Flush();
        ModelFile.Save(writer.BaseStream, Model, Tokenizer);
    }

    private sealed class Mapping(LanguageModelTransformer parent, DataViewSchema input)
        : RowMapping(
            input,
            [TokenColumn.Find(input, parent.Settings.TextColumn, parent.Tokenizer is not null)],
            LanguageModelSettings.Added(parent.Settings.Perplexity, parent.Settings.GeneratedText))
    {
        public override int BatchRows => parent.Scoring.BatchRows;

        public override RowBatch CreateBatch(DataViewRow input, int rows)
            => new LanguageModelBatch(parent,
                new TokenReader(input, Sources[0], parent.Tokenizer, new TokenLimits(parent.Model.Config.Vocabulary, int.MaxValue, false)), rows);
    }
}
