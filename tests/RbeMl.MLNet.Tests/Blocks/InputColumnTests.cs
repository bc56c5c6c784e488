using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.MLNet.Blocks;

namespace RbeMl.MLNet.Tests.Blocks;

/// <summary>A column of another kind of vector is refused with the mend, through an estimator's promise and through an engine's schema.</summary>
public sealed class InputColumnTests
{
    private readonly MLContext _ml = new(seed: 1);

    [Fact]
    public void AnEngineWithoutASizeIsToldOfVectorType()
    {
        TransformerBlockTransformer block = _ml.Rbe.TransformerBlock("Y", "X", BlockRows.Config, BlockRows.Weights).Fit(BlockRows.Fixed(_ml));
        string message = Refusal(() => _ml.Model.CreatePredictionEngine<NoSize, Output>(block));
        Assert.Contains("got VarVector<Single>", message, StringComparison.Ordinal);
        Assert.Contains("[VectorType(n)]", message, StringComparison.Ordinal);
        Assert.Equal(BlockRows.Expected(BlockRows.Activations(1)),
            _ml.Model.CreatePredictionEngine<Sized, Output>(block).Predict(new Sized { X = BlockRows.Activations(1) }).Y);
    }

    [Fact]
    public void AnEngineWithASizeIsToldOfVariableLength()
    {
        TransformerBlockOptions options =
            new() { OutputColumnName = "Y", InputColumnName = "X", Config = BlockRows.Config, Weights = BlockRows.Weights, VariableLength = true };
        TransformerBlockEstimator estimator = _ml.Rbe.TransformerBlock(options);
        TransformerBlockTransformer block = estimator.Fit(BlockRows.Variable(_ml));
        foreach (string message in (string[])[Refusal(() => _ml.Model.CreatePredictionEngine<Sized, Output>(block)),
            Refusal(() => estimator.Fit(BlockRows.Fixed(_ml)))])
        {
            Assert.Contains("expected VarVector<Single>, got Vector<Single", message, StringComparison.Ordinal);
            Assert.Contains("VariableLength", message, StringComparison.Ordinal);
        }

        Assert.Equal(BlockRows.Expected(BlockRows.Activations(1, 2)),
            _ml.Model.CreatePredictionEngine<NoSize, Output>(block).Predict(new NoSize { X = BlockRows.Activations(1, 2) }).Y);
    }

    [Fact]
    public void AnotherSizeNeedsNoHint()
    {
        TransformerBlockTransformer block = _ml.Rbe.TransformerBlock("Y", "X", BlockRows.Config with { MaxSequenceLength = 4 }, BlockRows.Weights).Fit(
            _ml.Data.LoadFromEnumerable([new Short()]));
        string message = Refusal(() => block.GetOutputSchema(BlockRows.Fixed(_ml).Schema));
        Assert.Contains("4 x 32, got Vector<Single, 160>", message, StringComparison.Ordinal);
        Assert.DoesNotContain("VectorType", message, StringComparison.Ordinal);
    }

    private static string Refusal(Action act) => Assert.Throws<ArgumentOutOfRangeException>(act).Message;

    private sealed class NoSize
    {
        public float[] X { get; set; } = [];
    }

    private sealed class Sized
    {
        [VectorType(BlockRows.Size)]
        public float[] X { get; set; } = [];
    }

    private sealed class Short
    {
        [VectorType(BlockRows.Width)]
        public float[] X { get; set; } = new float[BlockRows.Width];
    }

    private sealed class Output
    {
        public float[] Y { get; set; } = [];
    }
}
