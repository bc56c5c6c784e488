using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.MLNet.Tokens;

namespace RbeMl.MLNet.Tests.Tokens;

public sealed class TokenizeTests
{
    private static readonly Row[] Rows = [new("ab", 1), new("", 2), new("é", 3), new(null!, 4), new("xyz", 5)];

    [Fact]
    public void BytesOfEveryRowThroughViewEngineAndZip()
    {
        MLContext ml = new(1);
        IDataView data = ml.Data.LoadFromEnumerable(Rows);
        TransformerChain<TokenizeTransformer> model = new EstimatorChain<ITransformer>().Append(ml.Rbe.Tokenize("Ids", "Text")).Fit(data);
        int[][] expected = [[97, 98], [], [0xC3, 0xA9], [], [120, 121, 122]];
        Assert.Equal(expected, Ids(ml, model.Transform(data)));
        using PredictionEngine<Row, Output> engine = ml.Model.CreatePredictionEngine<Row, Output>(model);
        for (int i = 0; i < Rows.Length; i++) Assert.Equal(expected[i], engine.Predict(Rows[i]).Ids);

        using MemoryStream zip = new();
        ml.Model.Save(model, data.Schema, zip);
        zip.Position = 0;
        MLContext fresh = new MLContext().UseRbe();
        ITransformer loaded = fresh.Model.Load(zip, out _);
        Assert.Equal(expected, Ids(fresh, loaded.Transform(data)));
    }

    private static int[][] Ids(MLContext ml, IDataView view) => [.. ml.Data.CreateEnumerable<Output>(view, false).Select(o => o.Ids)];

    private sealed record Row(string Text, float Number);

    private sealed class Output
    {
        public int[] Ids { get; set; } = [];
    }
}
