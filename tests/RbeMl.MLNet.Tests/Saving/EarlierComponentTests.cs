using System.Globalization;
using System.Text;
using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Tests.Saving;

/// <summary>
/// Components that an earlier version saved, in a model file (<c>v1-name.zip</c>) and alone (<c>v1-name.component</c>), give what they gave then: a
/// line a row of each column in <c>v1-name.outputs</c>. So do those of later versions that are no longer written (<c>v2-name</c>). When a
/// component writes something more its version goes up, and a new set is added; these are never written anew.
/// </summary>
public sealed class EarlierComponentTests
{
    private static readonly string[] s_texts = ["the cat sat", "", "a red hen sat on the dog", "owl", "the dog; the cat", "x"];
    private readonly MLContext _ml = new MLContext(seed: 1).UseRbe();

    public static TheoryData<string> All =>
    [
        "v1-block", "v1-tokenize", "v1-featurize", "v1-multiclass", "v1-binary", "v1-language", "v2-language", "v1-embedding",
        "v1-similarity", "v2-multiclass",
    ];

    [Theory]
    [MemberData(nameof(All))]
    public void AComponentOfAnEarlierVersionGivesWhatItGaveThen(string name)
    {
        string[] expected = Encoding.UTF8.GetString(Read($"{name}.outputs"))
            .Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        using MemoryStream zip = new(Read($"{name}.zip")), zipAgain = new(zip.ToArray()), alone = new(Read($"{name}.component"));
        ITransformer ofLibrary = _ml.Rbe.Load(zip, out _), ofMlNet = _ml.Model.Load(zipAgain, out _);
        RbeTransformer ofComponent = Load(name, alone);
        ITransformer[] models = [ofLibrary, ofMlNet, ofComponent, Again(name, ofComponent)];
        foreach (ITransformer model in models) AssertSame(expected, model);
    }

    // Saved as this version does, and loaded again.
    private RbeTransformer Again(string name, RbeTransformer model)
    {
        using MemoryStream stream = new();
        model.Save(stream);
        stream.Position = 0;
        return Load(name, stream);
    }

    private RbeTransformer Load(string name, Stream stream) => name[(name.IndexOf('-') + 1)..] switch
    {
        "block" => _ml.Rbe.LoadTransformerBlock(stream),
        "tokenize" => _ml.Rbe.LoadTokenize(stream),
        "featurize" => _ml.Rbe.LoadFeaturize(stream),
        "language" => _ml.Rbe.LoadLanguageModel(stream),
        "embedding" => _ml.Rbe.LoadTextEmbedding(stream),
        "similarity" => _ml.Rbe.LoadSentenceSimilarity(stream),
        _ => _ml.Rbe.LoadTextClassification(stream),
    };

    private void AssertSame(string[] expected, ITransformer model)
    {
        IEnumerable<Row> rows = s_texts.Select((text, i) => new Row { Text = text, Other = s_texts[(i + 1) % s_texts.Length], X = Activations(i) });
        IDataView data = model.Transform(_ml.Data.LoadFromEnumerable(rows));
        IEnumerable<string> columns = expected.Select(line => line[..line.IndexOf(' ')]).Distinct();
        string[] actual = [.. columns.SelectMany(c => Column(data, c).Select(row => $"{c} {row}"))];
        Assert.Equal(expected.Length, actual.Length);
        foreach ((string then, string now) in expected.Zip(actual))
        {
            if (then == now) continue;

            // Equal to the bit on a processor with the same vectors; with others sums go in another order.
            float[] thens = Numbers(then), nows = Numbers(now);
            Assert.True(thens.Length == nows.Length && thens.Length > 0, $"{now} was {then}");
            float largest = thens.Where(float.IsFinite).Append(1e-3f).Max(MathF.Abs);
            Assert.All(thens.Zip(nows), pair => Assert.True(IsNear(pair.First, pair.Second, 1e-5f * largest), $"{pair.Second} was {pair.First}"));
        }

        static bool IsNear(float then, float now, float tolerance) => float.IsNaN(then) ? float.IsNaN(now) : MathF.Abs(then - now) <= tolerance;

        // None where a part is no number.
        static float[] Numbers(string line)
        {
            List<float> values = [];
            foreach (string part in line.Split(' ')[1..])
            {
                if (!float.TryParse(part, NumberStyles.Float, CultureInfo.InvariantCulture, out float value)) return [];
                values.Add(value);
            }

            return [.. values];
        }
    }

    private static IEnumerable<string> Column(IDataView view, string name) => view.Schema[name].Type switch
    {
        VectorDataViewType { ItemType: KeyDataViewType } => view.GetColumn<uint[]>(name).Select(Json),
        VectorDataViewType => view.GetColumn<float[]>(name).Select(row => string.Join(' ', row.Select(Number))),
        KeyDataViewType => view.GetColumn<uint>(name).Select(Json),
        TextDataViewType => view.GetColumn<string>(name).Select(Json),
        BooleanDataViewType => view.GetColumn<bool>(name).Select(Json),
        _ => view.GetColumn<float>(name).Select(Number),
    };

    private static string Number(float value) => value.ToString(CultureInfo.InvariantCulture);

    private static string Json<T>(T value) => JsonSerializer.Serialize(value);

    private static float[] Activations(int row)
    {
        Random random = new(row);
        return [.. Enumerable.Range(0, 5 * 32).Select(_ => (random.NextSingle() * 4) - 2)];
    }

    private static byte[] Read(string resource)
    {
        using Stream stream = typeof(EarlierComponentTests).Assembly.GetManifestResourceStream(resource)
            ?? throw new FileNotFoundException($"{resource} is not among the test's resources.");
        using MemoryStream bytes = new();
        stream.CopyTo(bytes);
        return bytes.ToArray();
    }

    private sealed class Row
    {
        public string Text { get; set; } = "";

        public string Other { get; set; } = "";

        [VectorType(5 * 32)]
        public float[] X { get; set; } = [];
    }
}
