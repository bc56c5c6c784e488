using Microsoft.ML;
using Xunit.Sdk;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>The test of column names passes where names are heeded, and fails where one isn't.</summary>
public class ColumnNameTests
{
    private readonly MLContext _ml = new(seed: 1);

    [Fact]
    public void NamesAreHeeded() => ColumnNameWorkout.Check(
        _ml, Samples.View(_ml), ["X", "Size"], ["Y"], names => _ml.Transforms.Concatenate(names["Y"], names["X"], names["Size"]));

    [Fact]
    public void OutputMayHideInput() => ColumnNameWorkout.CheckInPlace(
        _ml, Samples.View(_ml), "X", "Y", names => _ml.Transforms.NormalizeMinMax(names["Y"], names["X"]));

    [Fact]
    public void AnIgnoredInputNameIsCaught() => Assert.Throws<ArgumentOutOfRangeException>(() => ColumnNameWorkout.Check(
        _ml, Samples.View(_ml), ["X", "Size"], ["Y"], names => _ml.Transforms.Concatenate(names["Y"], names["X"], "Size")));

    [Fact]
    public void AnIgnoredOutputNameIsCaught() => Assert.IsAssignableFrom<XunitException>(Record.Exception(() => ColumnNameWorkout.Check(
        _ml, Samples.View(_ml), ["X"], ["Y"], names => _ml.Transforms.NormalizeMinMax("Y", names["X"]))));

    [Fact]
    public void AnOutputThatDoesNotHideIsCaught() => Assert.IsAssignableFrom<XunitException>(Record.Exception(() => ColumnNameWorkout.CheckInPlace(
        _ml, Samples.View(_ml), "X", "Y", names => _ml.Transforms.NormalizeMinMax("Y", names["X"]))));
}
