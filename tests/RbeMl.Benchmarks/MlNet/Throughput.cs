using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.Layers;
using RbeMl.MLNet.Classification;
using RbeMl.MLNet.Features;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.Benchmarks.MlNet;

/// <summary>Rows a second of two settings of the same transformer; medians.</summary>
/// <param name="Name">The transformer.</param>
/// <param name="Model">Its model.</param>
/// <param name="First">A setting.</param>
/// <param name="Second">Another one.</param>
/// <param name="Rows">Rows of a pass.</param>
/// <param name="Tokens">Tokens of all these rows.</param>
/// <param name="FirstRowsPerSecond">Rows a second with the first.</param>
/// <param name="SecondRowsPerSecond">Rows a second with the second.</param>
/// <param name="Ratio">Median of the ratios of pairs; above 1: the second is faster.</param>
/// <param name="Machine">Where it was measured.</param>
internal sealed record ThroughputRow(
    string Name, string Model, string First, string Second, int Rows, int Tokens, double FirstRowsPerSecond, double SecondRowsPerSecond,
    double Ratio, MachineRecord Machine);

/// <summary>
/// How fast rows go through the transformers: read ahead and computed together or one by one, on one thread or several. All settings give
/// the same bits.
/// </summary>
internal sealed class Throughput : IDisposable
{
    private const int Together = 64, Vocabulary = 1024, Training = 2000;
    private readonly MLContext _ml = new(1);
    private readonly IDataView _view;
    private readonly ITokenizer _tokenizer;
    private readonly ModelBundle _bundle;
    private readonly string _model;
    private readonly int _rows, _tokens, _threads;

    /// <summary>An untrained model, as speed does not depend on what it has learned, with byte pairs learned on the texts.</summary>
    public Throughput(TextSet set, int rows, int layers, int width, int threads)
    {
        LabelledText[] texts = set.Test.Length >= rows ? set.Test[..rows]
            : throw new InvalidDataException($"{set.Name} has {set.Test.Length} texts to test on, {rows} are asked for. Ask for fewer.");
        _tokenizer = BytePairTokenizer.Train(string.Join('\n', set.Train.Take(Training).Select(t => t.Text)), Vocabulary);
        TransformerConfig config = new() { Layers = layers, Width = width, Heads = width / 64, Vocabulary = _tokenizer.Vocabulary, MaxSequenceLength = 128 };
        _bundle = new ModelBundle(new TransformerModel<float>(TransformerWeights.CreateUntrained(config.Validate(), new(), 1)), _tokenizer);
        _view = _ml.Data.LoadFromEnumerable(texts.Select((t, i) => new Labelled { Text = t.Text, Label = i % 2 == 1 }));
        (_rows, _tokens, _threads) = (rows, texts.Sum(t => Math.Min(config.MaxSequenceLength, _tokenizer.Encode(t.Text).Length)), threads);
        _model = $"{layers} layers, width {width}";
    }

    /// <summary>Measures all pairs.</summary>
    /// <param name="rounds">Runs of each side of a pair.</param>
    /// <param name="warmSeconds">How long a side runs before it is timed.</param>
    /// <param name="found">Told of each result.</param>
    public void Run(int rounds, double warmSeconds, Action<ThroughputRow> found)
    {
        string many = $"{_threads} threads";
        Pair("Featurize, 1 thread", ("row by row", Featurize(1, 1)), ($"{Together} rows ahead", Featurize(Together, 1)), "Features");
        Pair($"Featurize, {many}", ("row by row", Featurize(1, _threads)), ($"{Together} rows ahead", Featurize(Together, _threads)), "Features");
        Pair("Featurize", ("1 thread", Featurize(Together, 1)), (many, Featurize(Together, _threads)), "Features");
        Pair("TextClassification", ("1 thread", Classify(1)), (many, Classify(_threads)), "Score");

        void Pair(string name, (string Name, ITransformer Transformer) first, (string Name, ITransformer Transformer) second, string column)
        {
            IDataView a = first.Transformer.Transform(_view), b = second.Transformer.Transform(_view);
            if (!Read(a, column).SequenceEqual(Read(b, column)))
            {
                throw new InvalidDataException($"{name}: {first.Name} and {second.Name} give different results.");
            }

            new Comparison(_threads, rounds, null,
                t => found(new ThroughputRow(name, _model, first.Name, second.Name, _rows, _tokens, 1e3 * _rows / t.TorchMs,
                1e3 * _rows / t.RbeMs, t.Ratio, MachineRecord.Here)), warmSeconds)
                .Run(name, "", () => Read(a, column), () => Read(b, column));
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _bundle.Dispose();

    // Every number of a column; what is asked for is what is computed.
    private static float[] Read(IDataView view, string column)
        => view.Schema[column].Type is VectorDataViewType ? [.. view.GetColumn<float[]>(column).SelectMany(row => row)] : [.. view.GetColumn<float>(column)];

    private FeaturizeTransformer Featurize(int rows, int threads)
        => _ml.Rbe.Featurize(new FeaturizeOptions { Model = _bundle, BatchRows = rows, Threads = threads }).Fit(_view);

    // One step of training on a few rows makes a classifier; the number of threads changes no bit of it.
    private TextClassificationTransformer Classify(int threads)
        => _ml.Rbe.TextClassification(new TextClassificationOptions { Model = _bundle, Epochs = 1, BatchSize = 8, Seed = 1, Threads = threads })
            .Fit(_ml.Data.TakeRows(_view, 8));

    private sealed class Labelled
    {
        public string Text { get; set; } = "";

        public bool Label { get; set; }
    }
}
