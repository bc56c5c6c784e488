using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.Cli;
using RbeMl.Files;
using RbeMl.MLNet.Tests.LanguageModels;
using RbeMl.MLNet.Tests.Workout;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Training;

namespace RbeMl.MLNet.Tests.Saving;

/// <summary><c>rbeml finetune</c> leaves a model for ML.NET that a fresh process scores with.</summary>
public sealed class FinetuneZipTests : IDisposable
{
    private static readonly string[] s_shape =
        ["--layers", "1", "--width", "32", "--heads", "2", "--context", "16", "--batch", "4", "--tile", "32", "--coefficients", "256",
            "--threads", "1", "--steps", "4"];
    private readonly TemporaryFolder _folder = new();
    private readonly MLContext _ml = new(1);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void AFreshProcessScoresATextWithIt()
    {
        string said = Finetune("--text", _folder.Write("text.txt", string.Join('\n', Verses.Lines(60))), "--tokenizer", "characters");
        Assert.Contains(_folder.File(Path.Combine("out", "model.zip")), said);
        const string text = "the cat sat on";
        IDataView scored = InChild(Verses.View(_ml, text, "!?"));
        using ModelBundle bundle = ModelFile.Load(_folder.File(Path.Combine("out", "model.rbe")));
        using Evaluator evaluator = new(bundle.Model, threads: 1);
        double expected = Math.Exp(evaluator.Evaluate(EvaluationData.FromText(text, bundle.Tokenizer!)).Nll);
        float[] found = [.. scored.GetColumn<float>("Perplexity")];
        Assert.Equal(expected, found[0], 2e-5 * expected); // fp32 sums of at most 32 terms, in another panel shape
        Assert.Equal(float.NaN, found[1]);
        Assert.NotEmpty(scored.GetColumn<string>("GeneratedText").First());
    }

    [Fact]
    public void AModelOfIdsScoresIds()
    {
        Finetune("--tokens",
            _folder.Write("ids.txt",
            string.Join('\n', Enumerable.Range(0, 30).Select(i => string.Join(' ', Enumerable.Range(i % 3, 12).Select(t => t % 9))))), "--vocabulary", "11");
        IDataView scored = InChild(_ml.Data.LoadFromEnumerable([new Row { Tokens = [1, 2, 3, 4] }, new Row { Tokens = [1, 11] }]));
        float[] found = [.. scored.GetColumn<float>("Perplexity")];
        Assert.InRange(found[0], 1, 100);
        Assert.Equal(float.NaN, found[1]);
        Assert.Null(scored.Schema.GetColumnOrNull("GeneratedText"));
    }

    private string Finetune(params string[] data)
    {
        StringWriter output = new(), error = new();
        int code = Commands.Run(["finetune", .. data, "--out", _folder.File("out"), .. s_shape], new CommandHost(output, error));
        Assert.True(code == 0, error.ToString());
        Assert.Equal(["metrics.json", "metrics.jsonl", "model.rbe", "model.zip", "report.html", "run.json"],
            Directory.GetFiles(_folder.File("out")).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        return output.ToString();
    }

    private IDataView InChild(IDataView rows)
    {
        (string data, string result) = (_folder.File("data.idv"), _folder.File("result.idv"));
        using (FileStream file = File.Create(data)) _ml.Data.SaveAsBinary(rows, file);
        ChildProcess.Transform(_folder.File(Path.Combine("out", "model.zip")), data, result, static ml => ml.UseRbe());
        return _ml.Data.LoadFromBinary(result);
    }

    private sealed class Row
    {
        [VectorType]
        public int[] Tokens { get; set; } = [];
    }
}
