using Microsoft.ML;
using RbeMl.MLNet.LanguageModels;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.MLNet.Tests.LanguageModels;

/// <summary>How the rows of a training are laid into sequences.</summary>
public sealed class PackingTests
{
    // Three lines of 22 to 24 bytes fit.
    private const int Context = 72;
    private readonly MLContext _ml = new MLContext(1).UseRbe();

    private (LanguageModelTransformer Model, List<TrainingProgress> Steps) Fit(DocumentPacking packing, Action<LanguageModelOptions>? change = null)
    {
        Listener steps = new();
        return (Verses.Fit(_ml, Verses.View(_ml), o =>
        {
            (o.Packing, o.Context, o.Progress) = (packing, Context, steps);
            change?.Invoke(o);
        }), steps.Reports);
    }

    [Fact]
    public void Isolated_rows_learn_the_same_in_a_third_of_the_places()
    {
        int bytes = Verses.Lines().Sum(line => line.Length), rows = Verses.Lines().Length;
        (LanguageModelTransformer one, List<TrainingProgress> separate) = Fit(DocumentPacking.Separate, o => o.BatchSize = rows);
        (LanguageModelTransformer other, List<TrainingProgress> isolated) = Fit(DocumentPacking.Isolated, o => o.BatchSize = rows);
        Assert.Equal((1, 1), (separate.Count, isolated.Count));
        Assert.Equal((bytes - rows, bytes - rows), (separate[0].Tokens, isolated[0].Tokens));
        Assert.Equal(separate[0].Loss, isolated[0].Loss, 1e-5 * separate[0].Loss); // sums of the same floats in another order
        float[] expected = one.Perplexities(Verses.View(_ml)), actual = other.Perplexities(Verses.View(_ml));
        Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First, pair.Second, 1e-3 * pair.First)); // Adam divides what is near 0 by its size
        Assert.Equal((12, 4), (Fit(DocumentPacking.Separate, o => o.BatchSize = 2).Steps.Count, Fit(DocumentPacking.Isolated, o => o.BatchSize = 2).Steps.Count));
    }

    [Fact]
    public void Packed_rows_see_those_before_and_learn_to_end()
    {
        int bytes = Verses.Lines().Sum(line => line.Length), rows = Verses.Lines().Length;
        (_, List<TrainingProgress> plain) = Fit(DocumentPacking.Packed, o => o.BatchSize = rows);
        (_, List<TrainingProgress> isolated) = Fit(DocumentPacking.Isolated, o => o.BatchSize = rows);
        Assert.NotEqual(isolated[0].Loss, plain[0].Loss, 1e-4);
        (_, List<TrainingProgress> ended) = Fit(DocumentPacking.Packed, o =>
            (o.BatchSize, o.VocabularySize, o.Tokenizer) = (rows, null, new Ending()));
        int sequences = (bytes + rows) / Context;
        Assert.InRange(ended[0].Tokens, bytes + rows - 1 - sequences, bytes + rows - 1); // all but the very first, and that of a line that begins a sequence
    }

    [Fact]
    public void Another_packing_is_another_run_and_what_is_none_is_refused()
    {
        using RbeMl.Tests.Files.TemporaryFolder folder = new();
        string state = folder.File("state");
        using CancellationTokenSource cancel = new();
        Listener stop = new() { After = _ => cancel.Cancel() };
        Assert.Throws<OperationCanceledException>(() => Fit(DocumentPacking.Isolated,
            o => (o.StatePath, o.BatchSize, o.Cancellation, o.Progress) = (state, 2, cancel.Token, stop)));
        Assert.Throws<StateMismatchException>(() => Fit(DocumentPacking.Packed, o => (o.StatePath, o.BatchSize) = (state, 2)));
        Assert.Contains("use one of Packed, Separate, Isolated",
            Assert.Throws<InvalidSettingException>(() => Fit((DocumentPacking)9)).Message, StringComparison.Ordinal);
    }

    private sealed class Listener : IProgress<TrainingProgress>
    {
        public List<TrainingProgress> Reports { get; } = [];

        public Action<TrainingProgress>? After { get; init; }

        public void Report(TrainingProgress value)
        {
            Reports.Add(value);
            After?.Invoke(value);
        }
    }

    // Bytes, and an id of the end.
    private sealed class Ending : ITokenizer
    {
        private readonly ByteTokenizer _bytes = new();

        public int Vocabulary => _bytes.Vocabulary + 1;

        public int? EndToken => _bytes.Vocabulary;

        public int[] Encode(string text) => _bytes.Encode(text);

        public ReadOnlySpan<byte> Bytes(int token) => token == EndToken ? [] : _bytes.Bytes(token);
    }
}
