using Microsoft.ML;
using Xunit.Abstractions;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>ML.NET's own components pass, but for what is excused here: so the test asks of others what ML.NET does.</summary>
public class MlNetOwnTests(ITestOutputHelper output)
{
    private readonly MLContext _ml = new(seed: 1);

    [Fact]
    public void NormalizeMinMax() => Check(_ml.Transforms.NormalizeMinMax("Y", "X"));

    [Fact]
    public void Concatenate() => Check(_ml.Transforms.Concatenate("Y", "X", "Size"));

    [Fact]
    public void MapValueToKey() => Check(_ml.Transforms.Conversion.MapValueToKey("Y", "Word"));

    [Fact]
    public void FeaturizeText() => Check(_ml.Transforms.Text.FeaturizeText("Y", "Text"));

    [Fact]
    public void ProduceWordBags() => Check(_ml.Transforms.Text.ProduceWordBags("Y", "Text"));

    [Fact]
    public void SdcaRegression() => Check(_ml.Regression.Trainers.Sdca("Size", "X"));

    private void Check(IEstimator<ITransformer> estimator) => output.WriteLine(
        EstimatorWorkout.Run(_ml, estimator, Samples.View(_ml), new WorkoutOptions()).ToString());
}
