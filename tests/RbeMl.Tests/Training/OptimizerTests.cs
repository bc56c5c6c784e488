using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

/// <summary>What holds for every optimiser, and the arithmetic of those that are not AdamW.</summary>
public sealed class OptimizerTests
{
    private static readonly TrainerOptions s_options = new() { LearningRate = 0.1, WeightDecay = 0.5, Clip = 0, PreconditionAlphas = false };
    private static readonly OptimizerOptions[] s_all = [.. OptimizerOptions.All, new SgdOptions { Momentum = 0 }];

    public static TheoryData<string> Names => [.. s_all.Select(optimizer => optimizer.Describe())];

    /// <summary>Without a gradient decay alone moves a value; a coefficient that is three times as large by three times the rate.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void Decay_is_of_matrices_only_and_the_same_for_all(string name)
    {
        using ParameterVector<double> parameters = new();
        foreach (ParameterKind kind in (ParameterKind[])[ParameterKind.Coefficient, ParameterKind.Bias, ParameterKind.LayerNorm, ParameterKind.Embedding])
        {
            parameters.Add(kind.ToString(), kind, [1f], kind == ParameterKind.Coefficient ? 3 : 1);
        }

        parameters.Freeze();
        using ParameterVector<double> gradients = parameters.CreateLike();
        using WorkerPool workers = new(1);
        OptimizerOptions options = Named(name);
        using Optimizer<double> optimizer = options.Create(parameters, s_options);
        Assert.Equal(options.StateVectors, optimizer.StateVectors.Count);
        Assert.Equal(0, optimizer.Step(gradients, 1, workers));
        Assert.Equal([0.85, 1, 1, 0.95], parameters.Slices.Select(slice => Math.Round(parameters.Of(slice)[0], 12)));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void What_is_not_finite_or_too_large_is_named_and_changes_nothing(string name)
    {
        using ParameterVector<float> parameters = new();
        ParameterSlice frozen = parameters.Add("frozen", ParameterKind.Bias, [1f]), slice = parameters.Add("layer.bias", ParameterKind.Bias, [1f, 2f]);
        parameters.Freeze();
        using ParameterVector<float> gradients = parameters.CreateLike();
        using WorkerPool workers = new(1);
        using Optimizer<float> optimizer = Named(name).Create(parameters, s_options, each => each == slice);
        gradients.Of(frozen)[0] = float.NaN;
        foreach (float value in (float[])[float.NaN, float.NegativeInfinity, float.MaxValue])
        {
            gradients.Of(slice)[1] = value;
            Assert.Equal("gradient of layer.bias", Assert.Throws<NonFiniteException>(() => optimizer.Step(gradients, 1, workers)).Where);
        }

        Assert.Equal([1, 2], parameters.Of(slice).ToArray());
        Assert.Equal(0, optimizer.Steps);
        Assert.All(optimizer.StateVectors, state => Assert.Equal([0f, 0f], state.Of(slice).ToArray()));
    }

    /// <summary>Slices end within and beyond the pieces that threads share.</summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void A_step_has_the_same_bits_for_any_threads_and_allocates_nothing(string name)
    {
        float[] one = Run(1), three = Run(3);
        Assert.Equal(one, three);

        float[] Run(int threads)
        {
            using ParameterVector<float> parameters = new();
            parameters.Add("c", ParameterKind.Coefficient, Numbers.Normal(40_001, 1), 2);
            parameters.Add("b", ParameterKind.Bias, Numbers.Normal(7, 2));
            parameters.Add("a", ParameterKind.Alpha, Numbers.Normal(8 * 2100, 3), 0.05, BasisFunctions.Get(TileTransform.Dct, 64).Gram);
            parameters.Freeze();
            using ParameterVector<float> gradients = parameters.CreateLike();
            using WorkerPool workers = new(threads);
            using Optimizer<float> optimizer = Named(name).Create(parameters, s_options with { Clip = 1, PreconditionAlphas = true });
            long least = long.MaxValue;
            for (int step = 0; step < 5; step++)
            {
                foreach (ParameterSlice slice in parameters.Slices) Numbers.Normal(slice.Length, (10 * step) + slice.Length).CopyTo(gradients.Of(slice));
                long before = GC.GetAllocatedBytesForCurrentThread();
                optimizer.Step(gradients, 1, workers);
                least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
                Assert.All(gradients.Slices, slice => Assert.True(gradients.Of(slice).IndexOfAnyExcept(0f) < 0));
            }

            Assert.Equal(0, least);
            return [.. optimizer.StateVectors.Prepend(parameters).SelectMany(vector => vector.Slices.SelectMany(vector.ToFloats))];
        }
    }

    /// <summary>Ten steps against the formula written out in double; gradients are halved by clipping.</summary>
    [Fact]
    public void Lion_is_the_formula()
    {
        const int Count = 1000;
        const double Rate = 0.01, Decay = 0.3, Beta1 = 0.8, Beta2 = 0.95;
        float[] start = Numbers.Normal(Count, 1);
        double[] w = Array.ConvertAll(start, x => (double)x), m = new double[Count];
        using ParameterVector<float> parameters = new();
        ParameterSlice slice = parameters.Add("e", ParameterKind.Embedding, start);
        parameters.Freeze();
        using ParameterVector<float> gradients = parameters.CreateLike();
        using WorkerPool workers = new(2);
        using Optimizer<float> optimizer =
            new LionOptions { Beta1 = Beta1, Beta2 = Beta2 }.Create(parameters, s_options with { LearningRate = Rate, WeightDecay = Decay, Clip = 1 });
        int unclear = 0;
        for (int step = 1; step <= 10; step++)
        {
            float[] g = Numbers.Normal(Count, 10 + step);
            g.CopyTo(gradients.Of(slice));
            double norm = optimizer.Step(gradients, 1, workers);
            for (int i = 0; i < Count; i++)
            {
                double clipped = g[i] / norm, direction = (Beta1 * m[i]) + ((1 - Beta1) * clipped);
                w[i] = (w[i] * (1 - (Rate * Decay))) - (Rate * Math.Sign(direction));
                m[i] = (Beta2 * m[i]) + ((1 - Beta2) * clipped);
                if (Math.Abs(direction) < 1e-8) unclear++; // its sign may be that of a rounding
            }
        }

        Assert.Equal(0, unclear);
        float[] actual = parameters.Of(slice).ToArray(), momentum = optimizer.StateVectors[0].Of(slice).ToArray();
        for (int i = 0; i < Count; i++)
        {
            Assert.Equal(w[i], actual[i], 4e-6); // in each of ten steps a weight below 4 and its factor are rounded once
            Assert.Equal(m[i], momentum[i], 1e-7);
        }
    }

    /// <summary>
    /// A value s times as large has a gradient s times as small; it must move s times as far, so the rate is s² times as large.
    /// </summary>
    [Theory]
    [InlineData(null)]
    [InlineData(0.4)]
    public void Descent_moves_a_scaled_value_by_the_square_of_its_scale(double? coefficientRate)
    {
        using ParameterVector<double> parameters = new();
        double[] gram = BasisFunctions.Get(TileTransform.Dct, 32).Gram; // <1, 1> = 32²
        parameters.Add("e", ParameterKind.Embedding, [0f]);
        parameters.Add("c", ParameterKind.Coefficient, [0f], 3);
        parameters.Add("a", ParameterKind.Alpha, new float[8], 3.0 / 32, gram);
        parameters.Freeze();
        using ParameterVector<double> gradients = parameters.CreateLike();
        foreach (ParameterSlice slice in parameters.Slices) gradients.Of(slice).Fill(1);
        using WorkerPool workers = new(1);
        using Optimizer<double> optimizer = new SgdOptions().Create(parameters, s_options with { CoefficientLearningRate = coefficientRate });
        optimizer.Step(gradients, 1, workers);
        double coefficient = coefficientRate ?? 0.9;
        Assert.Equal(-0.1, parameters.Of(parameters.Slices[0])[0], 1e-12);
        Assert.Equal(-coefficient, parameters.Of(parameters.Slices[1])[0], 1e-12);
        Assert.Equal(-coefficient / 1024, parameters.Of(parameters.Slices[2])[0], 1e-12);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_trainer_counts_the_state_and_takes_what_suits_the_optimizer(string name)
    {
        OptimizerOptions optimizer = Named(name);
        using TransformerModel<float> model = SmallModel.Create(length: 16, dropout: 0);
        TrainerOptions options = new() { Optimizer = optimizer, Steps = 3, BatchSize = 2, Context = 8, WarmupSteps = 0 };
        Assert.Equal((optimizer.RateFor(1e-3), optimizer.DecayFor(0.1)), (options.LearningRate, options.WeightDecay));
        Assert.Equal((0.25, 0.125),
            (options with { LearningRate = 0.25, WeightDecay = 0.125 } is var given ? (given.LearningRate, given.WeightDecay) : default));
        using Trainer trainer = new(model, new CountingTokens(11), null, options, 1);
        long codes = optimizer.CodedStateBytes(model.Parameters.Slices);
        Assert.Equal(codes + ((optimizer.StateVectors * model.Parameters.Length) + optimizer.ScratchElements(model.Parameters.Slices)) * sizeof(float),
            trainer.Estimate.Optimizer);
        Assert.Equal(codes + (optimizer.StateVectors * model.Parameters.TrainableCount * sizeof(float)), trainer.Bytes.Optimizer);
        float[] before = [.. model.Parameters.Slices.SelectMany(model.Parameters.ToFloats)];
        trainer.Step();
        Assert.NotEqual(before, [.. model.Parameters.Slices.SelectMany(model.Parameters.ToFloats)]);
    }

    [Fact]
    public void Own_options_have_an_effect_and_wrong_ones_are_named()
    {
        (OptimizerOptions One, OptimizerOptions Other)[] pairs =
        [
            (new AdamWOptions(), new AdamWOptions { Beta1 = 0.5 }), (new AdamWOptions(), new AdamWOptions { Beta2 = 0.5 }),
                (new AdamWOptions(), new AdamWOptions { Epsilon = 0.1 }),
            (new SgdOptions(), new SgdOptions { Momentum = 0.5 }), (new SgdOptions(), new SgdOptions { Momentum = 0 }),
            (new MuonOptions(), new MuonOptions { Others = new AdamWOptions { Beta1 = 0.5 } }),
            (new LionOptions(), new LionOptions { Beta1 = 0.5 }), (new LionOptions(), new LionOptions { Beta2 = 0.5 }),
        ];
        Assert.All(pairs, pair => Assert.NotEqual(After(pair.One), After(pair.Other)));
        (string Setting, OptimizerOptions Options)[] wrong =
        [
            ("Beta1", new AdamWOptions { Beta1 = 1 }), ("Beta2", new AdamWOptions { Beta2 = -1 }), ("Epsilon", new AdamWOptions { Epsilon = 0 }),
            ("Momentum", new SgdOptions { Momentum = double.NaN }), ("Momentum", new MuonOptions { Momentum = 1 }),
            ("Beta1", new MuonOptions { Others = new AdamWOptions { Beta1 = 2 } }), ("Others", new MuonOptions { Others = null! }),
            ("Beta1", new LionOptions { Beta1 = 1 }), ("Beta2", new LionOptions { Beta2 = 2 }),
        ];
        Assert.All(wrong,
            each => Assert.Equal(each.Setting,
            Assert.Throws<InvalidSettingException>(() => new TrainerOptions { Optimizer = each.Options }.Validate()).Setting));

        static double[] After(OptimizerOptions options)
        {
            using ParameterVector<double> parameters = new();
            ParameterSlice slice = parameters.Add("e", ParameterKind.Embedding, new float[64]);
            parameters.Freeze();
            using ParameterVector<double> gradients = parameters.CreateLike();
            using WorkerPool workers = new(1);
            using Optimizer<double> optimizer = options.Create(parameters, s_options);
            for (int step = 0; step < 4; step++)
            {
                float[] values = Numbers.Normal(64, step);
                for (int i = 0; i < 64; i++) gradients.Of(slice)[i] = values[i];
                optimizer.Step(gradients, 1, workers);
            }

            return parameters.Of(slice).ToArray();
        }
    }

    private static OptimizerOptions Named(string description) => s_all.Single(optimizer => optimizer.Describe() == description);
}
