using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Training;

public class AdamWTests
{
    private static readonly TrainerOptions s_options = new() { LearningRate = 0.1, WeightDecay = 0.5, Clip = 0, PreconditionAlphas = false };

    /// <summary>
    /// With constant gradients the first step moves every value by its rate, whatever the gradient's size; decay comes on top for matrices
    /// only.
    /// </summary>
    [Fact]
    public void Rates_and_decay_follow_the_kind_of_the_parameter()
    {
        using ParameterVector<double> parameters = new();
        double[] gram = BasisFunctions.Get(TileTransform.Dct, 32).Gram;
        ParameterSlice coefficient = parameters.Add("c", ParameterKind.Coefficient, [1f], 3);
        ParameterSlice alpha = parameters.Add("a", ParameterKind.Alpha, new float[8], 3.0 / 32, gram);
        ParameterSlice bias = parameters.Add("b", ParameterKind.Bias, [1f]);
        ParameterSlice norm = parameters.Add("n", ParameterKind.LayerNorm, [1f]);
        ParameterSlice embedding = parameters.Add("e", ParameterKind.Embedding, [1f]);
        parameters.Freeze();
        Assert.Equal(1 - 0.3 - (0.3 * 0.5), Step(s_options, coefficient), 1e-6);
        Assert.Equal(1 - 0.1, Step(s_options, bias), 1e-6);
        Assert.Equal(1 - 0.1, Step(s_options, norm), 1e-6);
        Assert.Equal(1 - 0.1 - (0.1 * 0.5), Step(s_options, embedding), 1e-6);
        Assert.Equal(-0.3 / 32, Step(s_options, alpha), 1e-6);
        Assert.Equal(1 - 0.2 - (0.2 * 0.5), Step(s_options with { CoefficientLearningRate = 0.2 }, coefficient), 1e-6);
        Assert.Equal(-0.2 / 32, Step(s_options with { CoefficientLearningRate = 0.2 }, alpha), 1e-6);
        Assert.Equal(1 - 0.1, Step(s_options with { CoefficientLearningRate = 0.2 }, bias), 1e-6);

        double Step(TrainerOptions options, ParameterSlice slice)
        {
            using WorkerPool workers = new(1);
            using ParameterVector<double> gradients = parameters.CreateLike();
            foreach (ParameterSlice s in parameters.Slices)
            {
                parameters.Of(s).Fill(s.Kind == ParameterKind.Alpha ? 0 : 1);
                gradients.Of(s).Fill(5);
            }

            using Optimizer<double> optimizer = new AdamWOptions().Create(parameters, options);
            optimizer.Step(gradients, 1, workers);
            return parameters.Of(slice)[0];
        }
    }

    [Fact]
    public void Clipping_scales_the_gradient_to_the_norm()
    {
        using ParameterVector<double> parameters = new();
        ParameterSlice slice = parameters.Add("b", ParameterKind.Bias, [0f, 0f]);
        parameters.Freeze();
        using ParameterVector<double> gradients = parameters.CreateLike();
        gradients.Of(slice)[0] = 3;
        gradients.Of(slice)[1] = 4;
        using WorkerPool workers = new(1);
        using Optimizer<double> optimizer = new AdamWOptions().Create(parameters, s_options with { Clip = 1 });
        Assert.Equal(5, optimizer.Step(gradients, 1, workers), 1e-12);
        Assert.Equal(0.1 * 0.6, optimizer.StateVectors[0].Of(slice)[0], 1e-12); // (1 - beta1) * 3 / 5
    }

    /// <summary>The preconditioned gradient of the eight alphas, back through the Gram matrix, is the gradient again (up to the damping).</summary>
    [Fact]
    public void Alpha_gradients_are_multiplied_by_the_inverse_Gram_matrix()
    {
        double[] gram = BasisFunctions.Get(TileTransform.Dct, 64).Gram;
        using ParameterVector<double> parameters = new();
        ParameterSlice slice = parameters.Add("a", ParameterKind.Alpha, new float[8], 1, gram);
        parameters.Freeze();
        using ParameterVector<double> gradients = parameters.CreateLike();
        double[] original = [1, -2, 3, 0.5, -1, 2, 0.25, 1];
        original.CopyTo(gradients.Of(slice));
        using WorkerPool workers = new(1);
        using Optimizer<double> optimizer = new AdamWOptions().Create(parameters, s_options with { PreconditionAlphas = true });
        optimizer.Step(gradients, 1, workers);
        double mean = Enumerable.Range(0, 8).Average(k => gram[k * 9]);
        double[] preconditioned = Array.ConvertAll(optimizer.StateVectors[0].Of(slice).ToArray(), m => m / 0.1); // the first step: m = (1 - beta1) g
        for (int k = 0; k < 8; k++)
        {
            double back = (1e-3 * preconditioned[k]) + Enumerable.Range(0, 8).Sum(l => gram[(k * 8) + l] / mean * preconditioned[l]);
            Assert.Equal(original[k], back, 1e-9);
        }
    }

    /// <summary>
    /// Three steps against the plain formula in double: norm, preconditioning, clipping, moments, weights. Slices end within and beyond the pieces that threads
    /// share. Each step rounds moments and weights a few times in float (2^-24 of them), in a root and a quotient: 1e-5 of the largest step allows for all.
    /// </summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Steps_match_the_plain_formula_with_the_same_bits_for_any_threads(int threads)
    {
        double[] gram = BasisFunctions.Get(TileTransform.Dct, 64).Gram;
        TrainerOptions options = s_options with { Clip = 1, WeightDecay = 0.1, PreconditionAlphas = true };
        using ParameterVector<float> parameters = new(), alone = new();
        using ParameterVector<double> plain = new();
        foreach ((ParameterKind kind, int length, int seed) in ((ParameterKind, int, int)[])[(ParameterKind.Coefficient, 40_001, 1),
            (ParameterKind.Bias, 7, 2), (ParameterKind.Alpha, 8 * 2100, 3), (ParameterKind.Embedding, 16_384, 4)])
        {
            float[] values = Numbers.Normal(length, seed);
            (double rate, double[]? g) = kind == ParameterKind.Alpha ? (0.05, gram) : (1, null);
            parameters.Add(kind.ToString(), kind, values, rate, g);
            alone.Add(kind.ToString(), kind, values, rate, g);
            plain.Add(kind.ToString(), kind, values, rate, g);
        }

        parameters.Freeze();
        alone.Freeze();
        plain.Freeze();
        using WorkerPool workers = new(threads), one = new(1);
        using Optimizer<float> optimizer = new AdamWOptions().Create(parameters, options), same = new AdamWOptions().Create(alone, options);
        using Optimizer<double> exact = new AdamWOptions().Create(plain, options);
        using ParameterVector<float> gradients = parameters.CreateLike(), gradientsAlone = alone.CreateLike();
        using ParameterVector<double> gradientsPlain = plain.CreateLike();
        for (int step = 1; step <= 3; step++)
        {
            for (int s = 0; s < parameters.Slices.Count; s++)
            {
                float[] values = Numbers.Normal(parameters.Slices[s].Length, (10 * step) + s, 0.01);
                values.CopyTo(gradients.Of(parameters.Slices[s]));
                values.CopyTo(gradientsAlone.Of(alone.Slices[s]));
                for (int i = 0; i < values.Length; i++) gradientsPlain.Of(plain.Slices[s])[i] = values[i];
            }

            double norm = optimizer.Step(gradients, 1, workers);
            Assert.Equal(BitConverter.DoubleToInt64Bits(same.Step(gradientsAlone, 1, one)), BitConverter.DoubleToInt64Bits(norm));
            Assert.InRange(norm / exact.Step(gradientsPlain, 1, one), 1 - 1e-12, 1 + 1e-12); // 73 thousand roundings of 2^-53
            for (int s = 0; s < parameters.Slices.Count; s++)
            {
                Assert.All(gradients.Of(parameters.Slices[s]).ToArray(), g => Assert.Equal(0, g));
                float[] actual = parameters.Of(parameters.Slices[s]).ToArray();
                Assert.Equal(alone.Of(alone.Slices[s]).ToArray(), actual);
                double[] expected = plain.Of(plain.Slices[s]).ToArray();
                for (int i = 0; i < actual.Length; i++)
                {
                    if (!(Math.Abs(expected[i] - actual[i]) <= 1e-5 * Math.Max(1, Math.Abs(expected[i]))))
                    {
                        Assert.Fail(FormattableString.Invariant($"{parameters.Slices[s].Name} {i}: {actual[i]}, expected {expected[i]}"));
                    }
                }
            }
        }
    }

    [Fact]
    public void A_gradient_that_is_not_finite_is_named_and_changes_nothing()
    {
        using ParameterVector<double> parameters = new();
        ParameterSlice slice = parameters.Add("layer.bias", ParameterKind.Bias, [1f, 2f]);
        parameters.Freeze();
        using ParameterVector<double> gradients = parameters.CreateLike();
        gradients.Of(slice)[1] = double.NaN;
        using WorkerPool workers = new(1);
        using Optimizer<double> optimizer = new AdamWOptions().Create(parameters, s_options);
        Assert.Equal("gradient of layer.bias", Assert.Throws<NonFiniteException>(() => optimizer.Step(gradients, 1, workers)).Where);
        Assert.Equal([1, 2], parameters.Of(slice).ToArray());
        Assert.Equal(0, optimizer.Steps);
    }

    [Fact]
    public void A_slice_that_is_not_trained_is_not_blamed()
    {
        using ParameterVector<float> parameters = new();
        ParameterSlice frozen = parameters.Add("frozen", ParameterKind.Bias, [1f, 2f]), trained = parameters.Add("trained", ParameterKind.Bias, [1f, 2f]);
        parameters.Freeze();
        using ParameterVector<float> gradients = parameters.CreateLike();
        using WorkerPool workers = new(1);
        using Optimizer<float> optimizer = new AdamWOptions().Create(parameters, s_options, slice => slice == trained);
        gradients.Of(frozen)[0] = float.NaN;
        gradients.Of(trained)[1] = float.PositiveInfinity;
        Assert.Equal("gradient of trained", Assert.Throws<NonFiniteException>(() => optimizer.Step(gradients, 1, workers)).Where);
        (gradients.Of(frozen)[0], gradients.Of(trained)[1]) = (float.MaxValue, 1e19f);
        Assert.Equal("gradient of trained", Assert.Throws<NonFiniteException>(() => optimizer.Step(gradients, 1, workers)).Where);
        gradients.Of(trained)[1] = 1;
        Assert.Equal(1, optimizer.Step(gradients, 1, workers), 1e-12);
    }

    /// <summary>
    /// Adam's first step has the size of the rate wherever there is a gradient, however large; what is preconditioned is clipped before it
    /// is rounded to float.
    /// </summary>
    [Fact]
    public void Huge_gradients_are_clipped_before_they_overflow()
    {
        using ParameterVector<float> parameters = new();
        ParameterSlice alphas = parameters.Add("a", ParameterKind.Alpha, new float[8], 1, BasisFunctions.Get(TileTransform.Dct, 64).Gram);
        ParameterSlice bias = parameters.Add("b", ParameterKind.Bias, new float[1]);
        parameters.Freeze();
        using ParameterVector<float> gradients = parameters.CreateLike();
        for (int k = 0; k < 8; k++) gradients.Of(alphas)[k] = k % 2 == 0 ? 3e37f : -3e37f;
        gradients.Of(bias)[0] = 3e37f;
        using WorkerPool workers = new(1);
        using Optimizer<float> optimizer = new AdamWOptions().Create(parameters, s_options with { Clip = 1, PreconditionAlphas = true });
        Assert.InRange(optimizer.Step(gradients, 1, workers), 9e37 * (1 - 1e-6), 9e37 * (1 + 1e-6));
        Assert.All([.. parameters.Of(alphas), .. parameters.Of(bias)], w => Assert.InRange(MathF.Abs(w), 0.0999f, 0.1001f));
        Assert.All([.. optimizer.StateVectors[1].Of(alphas), .. optimizer.StateVectors[1].Of(bias)], v => Assert.True(float.IsFinite(v)));
    }

    /// <summary>9.2e18 is half the root of the largest float: beyond it a square may be infinite, and the weight would never move again.</summary>
    [Theory]
    [InlineData(9e18f, false, true)]
    [InlineData(1e20f, false, false)]
    [InlineData(float.MaxValue, false, false)]
    [InlineData(9e18f, true, false)] // the inverse of the Gram matrix enlarges it
    public void A_gradient_whose_square_overflows_is_refused(float value, bool alpha, bool fits)
    {
        using ParameterVector<float> parameters = new();
        parameters.Add("small", ParameterKind.Bias, [1f]);
        ParameterSlice slice = alpha ? parameters.Add("a", ParameterKind.Alpha, new float[8], 1, BasisFunctions.Get(TileTransform.Dct, 64).Gram)
            : parameters.Add("b", ParameterKind.Bias, new float[8]);
        parameters.Freeze();
        using ParameterVector<float> gradients = parameters.CreateLike();
        gradients.Of(parameters.Slices[0])[0] = 1;
        for (int k = 0; k < 8; k++) gradients.Of(slice)[k] = k % 2 == 0 ? value : -value;
        using WorkerPool workers = new(1);
        using Optimizer<float> optimizer = new AdamWOptions().Create(parameters, s_options with { PreconditionAlphas = true });
        if (fits)
        {
            optimizer.Step(gradients, 1, workers);
            Assert.All(parameters.Of(slice).ToArray(), w => Assert.InRange(MathF.Abs(w), 0.0999f, 0.1001f));
            gradients.Of(slice)[0] = 1e18f;
            optimizer.Step(gradients, 1, workers); // the moments still move it
            Assert.True(MathF.Abs(parameters.Of(slice)[0]) > 0.11f);
            return;
        }

        NonFiniteException refused = Assert.Throws<NonFiniteException>(() => optimizer.Step(gradients, 1, workers));
        Assert.Equal($"gradient of {slice.Name}", refused.Where);
        Assert.Contains("Clip", refused.Message, StringComparison.Ordinal);
        Assert.Equal(0, optimizer.Steps);
        Assert.Equal(new float[8], parameters.Of(slice).ToArray());
        using Optimizer<float> clipped = new AdamWOptions().Create(parameters, s_options with { PreconditionAlphas = true, Clip = 1 });
        clipped.Step(gradients, 1, workers);
        Assert.All(parameters.Of(slice).ToArray(), w => Assert.InRange(MathF.Abs(w), 0.0999f, 0.1001f));
    }

    /// <summary>The gradient of alphas that the inverse of the Gram matrix enlarges most is refused by what becomes of it, though it is small itself.</summary>
    [Theory]
    [InlineData(0.9, true)]
    [InlineData(1.1, false)]
    public void What_preconditioning_makes_of_a_gradient_is_what_must_have_a_square(double size, bool fits)
    {
        double limit = Math.Sqrt(float.MaxValue) / 2;
        double[] gram = BasisFunctions.Get(TileTransform.Dct, 64).Gram;
        double[] row = Enumerable.Range(0, 8).Select(Column).MaxBy(column => column.Sum(Math.Abs))!; // the inverse is symmetric
        double gain = row.Sum(Math.Abs);
        Assert.True(gain > 10, "a gradient is hardly enlarged");
        using ParameterVector<float> parameters = new();
        ParameterSlice slice = parameters.Add("a", ParameterKind.Alpha, new float[8], 1, gram);
        parameters.Freeze();
        using ParameterVector<float> gradients = parameters.CreateLike();
        for (int k = 0; k < 8; k++) gradients.Of(slice)[k] = (float)(Math.Sign(row[k]) * size * limit / gain);
        using WorkerPool workers = new(1);
        using Optimizer<float> optimizer = new AdamWOptions().Create(parameters, s_options with { PreconditionAlphas = true });
        if (fits) optimizer.Step(gradients, 1, workers);
        else Assert.Equal("gradient of a", Assert.Throws<NonFiniteException>(() => optimizer.Step(gradients, 1, workers)).Where);
        Assert.Equal(fits ? 1 : 0, optimizer.Steps);
        float largest = optimizer.StateVectors[0].Of(slice).ToArray().Max(MathF.Abs);
        Assert.Equal(fits ? 0.1 * size : 0, largest / limit, 1e-4);

        double[] Column(int k)
        {
            using ParameterVector<double> one = new();
            ParameterSlice alphas = one.Add("a", ParameterKind.Alpha, new float[8], 1, gram);
            one.Freeze();
            using ParameterVector<double> unit = one.CreateLike();
            unit.Of(alphas)[k] = 1;
            using WorkerPool alone = new(1);
            using Optimizer<double> plain = new AdamWOptions().Create(one, s_options with { PreconditionAlphas = true });
            plain.Step(unit, 1, alone);
            return Array.ConvertAll(plain.StateVectors[0].Of(alphas).ToArray(), m => m / 0.1); // the first step: m = (1 - beta1) g
        }
    }

    /// <summary>A run limited by time does not know its steps: the warm-up ends after its steps or a twentieth of the time, whichever comes first.</summary>
    [Fact]
    public void A_timed_run_warms_up_by_steps_or_by_time()
    {
        TrainerOptions options = new() { Steps = int.MaxValue, WarmupSteps = 100, Schedule = RateSchedule.Constant };
        Assert.Equal(1.0 / 101, LearningRate.Factor(options, 0, 0), 1e-12);
        Assert.Equal(0.5, LearningRate.Factor(options, 3, 0.025), 1e-12);
        Assert.Equal(1, LearningRate.Factor(options, 6, 0.05), 1e-12);
        Assert.Equal(1, LearningRate.Factor(options, 100, 0.001), 1e-12);
    }

    [Theory]
    [InlineData(RateSchedule.Cosine, 0.1, 0.55, 0.1)]
    [InlineData(RateSchedule.Linear, 0, 0.5, 0)]
    [InlineData(RateSchedule.Constant, 0.1, 1, 1)]
    public void Schedules_warm_up_and_come_down(RateSchedule schedule, double final, double middle, double end)
    {
        TrainerOptions options = new() { Steps = 1000, WarmupSteps = 100, Schedule = schedule, FinalFraction = final };
        Assert.Equal(1.0 / 101, LearningRate.Factor(options, 0, 0), 1e-12);
        Assert.Equal(51.0 / 101, LearningRate.Factor(options, 50, 0.05), 1e-12);
        Assert.Equal(1, LearningRate.Factor(options, 100, 0.1), 1e-12);
        Assert.Equal(middle, LearningRate.Factor(options, 550, 0.55), 1e-12);
        Assert.Equal(end, LearningRate.Factor(options, 1000, 1), 1e-12);
    }
}
