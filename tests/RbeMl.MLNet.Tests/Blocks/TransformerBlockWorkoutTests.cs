using Microsoft.ML;
using RbeMl.MLNet.Blocks;
using RbeMl.MLNet.Runtime;
using RbeMl.MLNet.Tests.Workout;
using Xunit.Abstractions;

namespace RbeMl.MLNet.Tests.Blocks;

/// <summary>The block is a citizen.</summary>
public sealed class TransformerBlockWorkoutTests(ITestOutputHelper output)
{
    private readonly MLContext _ml = new(seed: 1);

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void Citizenship(bool variable, bool masked)
    {
        IDataView valid = variable ? BlockRows.Variable(_ml) : BlockRows.Fixed(_ml);
        IDataView other = variable ? BlockRows.Fixed(_ml) : BlockRows.Variable(_ml);
        RefusedBy all = RefusedBy.Shape | RefusedBy.Fit | RefusedBy.Transform;
        List<InvalidInput> invalid =
        [
            new(_ml.Transforms.DropColumns("X").Fit(valid).Transform(valid), "X", all),
            new(_ml.Transforms.CopyColumns("X", "Id").Fit(valid).Transform(valid), "X", all),
            new(other, "X", all),
        ];
        if (masked) invalid.Add(new(_ml.Transforms.DropColumns("Mask").Fit(valid).Transform(valid), "Mask", all));
        WorkoutReport report = EstimatorWorkout.Check(_ml, Make(variable, masked), valid, new WorkoutOptions
        {
            Invalid = invalid,
            ForwardCount = () => ForwardCounter.Rows,
            Again = () => Make(variable, masked),
        });
        output.WriteLine(report.ToString());
        Assert.Contains("child-process", report.Names(Verdict.Passed));
    }

    [Fact]
    public void ColumnNames() => ColumnNameWorkout.Check(_ml, BlockRows.Fixed(_ml), ["X", "Mask"], ["Y"], names => Make(false, true, names));

    [Fact]
    public void InPlace() => ColumnNameWorkout.CheckInPlace(_ml, BlockRows.Fixed(_ml), "X", "Y", names => Make(false, false, names));

    private TransformerBlockEstimator Make(bool variable, bool masked, IReadOnlyDictionary<string, string>? names = null)
    {
        return _ml.Rbe.TransformerBlock(new TransformerBlockOptions
        {
            OutputColumnName = Name("Y"),
            InputColumnName = Name("X"),
            PaddingMaskColumnName = masked ? Name("Mask") : null,
            VariableLength = variable,
            Config = BlockRows.Config,
            Weights = BlockRows.Weights,
            BatchTokens = 16,
        });

        string Name(string name) => names is not null && names.TryGetValue(name, out string? other) ? other : name;
    }
}
