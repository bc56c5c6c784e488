using RbeMl.Models;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

/// <summary>Rates, decay and freezing by the names of parameters.</summary>
public sealed class ParameterGroupTests
{
    private static readonly TrainerOptions s_options =
        new() { Steps = 3, BatchSize = 4, Context = 16, WarmupSteps = 0, LearningRate = 1e-3, WeightDecay = 0.5 };

    private static Dictionary<string, float[]> Trained(params ParameterGroup[] groups)
    {
        using TransformerModel<float> model = SmallModel.Create(dropout: 0);
        using Trainer trainer = new(model, new CountingTokens(11), null, s_options with { Groups = groups }, 1);
        trainer.Step();
        return model.Parameters.Slices.ToDictionary(slice => slice.Name, model.Parameters.ToFloats);
    }

    private static Dictionary<string, float[]> Start()
    {
        using TransformerModel<float> model = SmallModel.Create(dropout: 0);
        return model.Parameters.Slices.ToDictionary(slice => slice.Name, model.Parameters.ToFloats);
    }

    /// <summary>A first step of AdamW has the size of the rate, whatever the clipping: what is frozen changes the norm.</summary>
    [Fact]
    public void Each_setting_reaches_those_that_match_and_the_last_decides()
    {
        Dictionary<string, float[]> start = Start(), plain = Trained(), grouped = Trained(
            new ParameterGroup("blocks.0.*") { RateFactor = 0.25 }, new ParameterGroup("*.ln?.gamma") { Frozen = true },
            new ParameterGroup("blocks.1.ln1.gamma") { Frozen = false }, new ParameterGroup("embedding.*") { WeightDecay = 0 });
        Assert.Equal(start["blocks.0.ln1.gamma"], grouped["blocks.0.ln1.gamma"]);
        Assert.Equal(start["blocks.1.ln2.gamma"], grouped["blocks.1.ln2.gamma"]);
        Assert.NotEqual(start["blocks.1.ln1.gamma"], grouped["blocks.1.ln1.gamma"]);
        Assert.NotEqual(start["final.gamma"], grouped["final.gamma"]);
        Assert.Equal(0.25, Move("blocks.0.attention.query.bias"), 1e-3);
        Assert.Equal(1, Move("blocks.1.attention.query.bias"), 1e-3);
        float[] from = start["embedding.tokens"], with = plain["embedding.tokens"], without = grouped["embedding.tokens"];
        for (int i = 0; i < from.Length; i++) Assert.Equal(from[i] * 5e-4, without[i] - with[i], 1e-6); // rate x decay

        double Move(string name) => Most(grouped[name], start[name]) / Most(plain[name], start[name]);

        static double Most(float[] a, float[] b) => a.Zip(b, (x, y) => Math.Abs(x - y)).Max();
    }

    [Fact]
    public void What_matches_nothing_or_leaves_nothing_is_refused()
    {
        Refused("\"blocks.7.*\": it matches none of the", new ParameterGroup("blocks.7.*") { Frozen = true });
        Refused("nothing is left to train", new ParameterGroup("*") { Frozen = true });
        Refused("RateFactor = 0", new ParameterGroup("*") { RateFactor = 0 });
        Refused("RateFactor = NaN", new ParameterGroup("*") { RateFactor = double.NaN });
        Refused("WeightDecay = -1", new ParameterGroup("*") { WeightDecay = -1 });
        Refused("Pattern", new ParameterGroup(""));

        static void Refused(string says, ParameterGroup group) =>
            Assert.Contains(says, Assert.Throws<InvalidSettingException>(() => Trained(group)).Message, StringComparison.Ordinal);
    }

    /// <summary>Each cycle begins at the highest rate and ends at the final fraction, with a straight line also at nothing.</summary>
    [Fact]
    public void Cycles_run_through_the_schedule_again()
    {
        TrainerOptions options = new() { Steps = 120, WarmupSteps = 20, Schedule = RateSchedule.Linear, FinalFraction = 0, Cycles = 4 };
        double[] factors = [.. Enumerable.Range(0, 121).Select(step => LearningRate.Factor(options, step, step / 120.0))];
        foreach (int start in (int[])[20, 45, 70, 95])
        {
            Assert.Equal(1, factors[start], 1e-6);
            Assert.Equal(0.5, factors[start + 12] / 2 + factors[start + 13] / 2, 1e-6);
            Assert.Equal(0.04, factors[start + 24], 1e-6);
        }

        Assert.Equal(0, factors[120]);
        Assert.True(factors[10] < 1);
        double[] once = [.. Enumerable.Range(0, 121).Select(step => LearningRate.Factor(options with { Cycles = 1 }, step, step / 120.0))];
        Assert.Equal(20 + 1 + 1, once.Zip(factors).Count(pair => Math.Abs(pair.First - pair.Second) < 1e-6)); // warm-up, first and last
        Assert.Throws<InvalidSettingException>(() => (options with { Cycles = 0 }).Validate());
    }
}
