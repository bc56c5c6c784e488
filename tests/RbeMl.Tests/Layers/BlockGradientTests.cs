using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Layers;

namespace RbeMl.Tests.Layers;

/// <summary>
/// Every parameter group and the input, in double, against five-point central differences along random directions: their error is about h^4 f^(5) from the
/// curvature and 2e-16 / h a term of the objective, times a hundred for the sums inside the block, from rounding; with h = 1e-3 both are
/// far below 1e-6 of the derivative.
/// </summary>
public class BlockGradientTests
{
    private const double Step = 1e-3;
    private const double Tolerance = 1e-6;

    public static TheoryData<string, GeluKind, LayerNormStorage, int, bool, float> Cases()
    {
        TheoryData<string, GeluKind, LayerNormStorage, int, bool, float> cases = new();
        cases.Add("runs4", GeluKind.Tanh, LayerNormStorage.Dense, 0, false, 0);
        cases.Add("runs16", GeluKind.Erf, LayerNormStorage.Compressed, 0, true, 0.1f);
        cases.Add("topk", GeluKind.Tanh, LayerNormStorage.Scalar, 5, false, 0);
        cases.Add("random", GeluKind.Tanh, LayerNormStorage.Dense, 3, true, 0.2f);
        cases.Add("lowfrequency", GeluKind.Erf, LayerNormStorage.Dense, 0, false, 0);
        cases.Add("full", GeluKind.Tanh, LayerNormStorage.Dense, 2, true, 0.1f);
        cases.Add("quantized", GeluKind.Tanh, LayerNormStorage.Dense, 0, true, 0);
        cases.Add("quantized+delta", GeluKind.Erf, LayerNormStorage.Dense, 0, false, 0.1f);
        cases.Add("seed", GeluKind.Tanh, LayerNormStorage.Dense, 0, false, 0);
        cases.Add("wavelet", GeluKind.Tanh, LayerNormStorage.Dense, 2, true, 0.1f);
        cases.Add("wavelet+delta", GeluKind.Erf, LayerNormStorage.Dense, 0, false, 0);
        return cases;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Every_group_matches_central_differences(string format, GeluKind gelu, LayerNormStorage storage, int past, bool masks, float dropout)
    {
        Compare(new()
        {
            Width = 40,
            FeedForwardWidth = 72,
            Heads = 4,
            Layers = 1,
            MaxSequenceLength = 64,
            Gelu = gelu,
            LayerNorm = storage,
            Dropout = dropout
        }, format, past, masks);
    }

    private static void Compare(TransformerConfig config, string format, int past, bool masks)
    {
        float dropout = config.Dropout;
        using BlockFixture<double> fixture = new(config, OptionsOf(format), batch: 2, length: 9, threads: 2);
        using LayerKvCache<double> cache = fixture.CacheWith(past); // the past is a constant: it is not made again when the parameters move
        (byte[] padding, double[] additive) = fixture.Masks(past);

        ForwardOptions<double> Options()
        {
            cache.Truncate(past);
            return new()
            {
                PaddingMask = masks ? padding : null,
                AdditiveMask = masks ? additive : null,
                Cache = past > 0 ? cache : null,
                Dropout = dropout > 0 ? new DropoutStep(7, 11) : null,
            };
        }

        (_, double[] dx, ParameterVector<double> gradients) = fixture.Run(Options());
        Random random = new(5);
        foreach (ParameterSlice slice in fixture.Block.Parameters.Slices)
        {
            double[] direction = Direction(random, slice.Length);
            Check(slice.Name, direction, gradients.Of(slice).ToArray(), h => Move(fixture.Block.Parameters.Of(slice), direction, h), Options, fixture);
        }

        double[] inputDirection = Direction(random, dx.Length);
        Check("input", inputDirection, dx, h => Move(fixture.X, inputDirection, h), Options, fixture);
    }

    [Theory]
    [InlineData(BlockOrder.PostNorm, true, "runs4", 0, false, 0)]
    [InlineData(BlockOrder.PostNorm, true, "seed", 3, true, 0.1f)]
    [InlineData(BlockOrder.PostNorm, false, "runs16", 0, true, 0.2f)]
    [InlineData(BlockOrder.PostNorm, false, "quantized+delta", 0, false, 0)]
    [InlineData(BlockOrder.PreNorm, false, "runs4", 0, true, 0.1f)]
    public void Every_group_of_other_architectures_matches_central_differences(BlockOrder order, bool causal, string format, int past,
        bool masks, float dropout) =>
        Compare(new()
        {
            Width = 40,
            FeedForwardWidth = 72,
            Heads = 4,
            Layers = 1,
            MaxSequenceLength = 64,
            Order = order,
            Causal = causal,
            Dropout = dropout
        }, format, past, masks);

    [Fact]
    public void All_parameter_groups_are_there()
    {
        using BlockFixture<double> fixture = new(new TransformerConfig { Width = 32, Heads = 2, Layers = 1 }, OptionsOf("runs4"), 1, 4);
        string[] matrices = ["attention.query", "attention.key", "attention.value", "attention.output", "feedforward.expand", "feedforward.contract"];
        IEnumerable<string> expected = matrices.SelectMany(m => (string[])[$"block.{m}.alphas", $"block.{m}.coefficients", $"block.{m}.bias"])
            .Concat(["block.ln1.gamma", "block.ln1.beta", "block.ln2.gamma", "block.ln2.beta"]);
        Assert.Equal(expected.Order(), fixture.Block.Parameters.Slices.Select(s => s.Name).Order());
    }

    internal static RbeOptions OptionsOf(string format) => new()
    {
        Tile = 32,
        Transform = format.StartsWith("wavelet", StringComparison.Ordinal) ? TileTransform.Cdf97 : TileTransform.Dct,
        Format = format switch
        {
            "runs4" => RbeFormat.Sparse(100, SupportRule.Runs(4)),
            "runs16" => RbeFormat.Sparse(96, SupportRule.Runs(16)),
            "topk" => RbeFormat.Sparse(100, SupportRule.TopK),
            "random" => RbeFormat.Sparse(100, SupportRule.Random(3)),
            "lowfrequency" => RbeFormat.Sparse(100, SupportRule.LowFrequency),
            "full" => RbeFormat.Sparse(1024),
            "quantized" => RbeFormat.Quantized(4),
            "wavelet" => RbeFormat.Sparse(100, SupportRule.Runs(4)),
            "quantized+delta" or "wavelet+delta" => new QuantizedFormat(4) { Delta = RbeFormat.Sparse(64, SupportRule.Runs(8)) },
            "seed" => RbeFormat.Seed(100),
            _ => throw new ArgumentOutOfRangeException(nameof(format)),
        },
    };

    private static double[] Direction(Random random, int length)
    {
        double[] direction = new double[length];
        for (int i = 0; i < length; i++) direction[i] = random.NextDouble() * 2 - 1;
        return direction;
    }

    private static void Move(Span<double> values, double[] direction, double h)
    {
        for (int i = 0; i < direction.Length; i++) values[i] += h * direction[i];
    }

    // With a cache the past was computed with the block's own weights but counts as constant: it is made once, with the weights unmoved.
    private static void Check(string name, double[] direction, double[] gradient, Action<double> move, Func<ForwardOptions<double>> options,
        BlockFixture<double> fixture)
    {
        double h = Step / Math.Sqrt(direction.Length);
        double At(double offset)
        {
            move(offset);
            double value = fixture.Objective(options());
            move(-offset);
            return value;
        }

        double expected = ((8 * (At(h) - At(-h))) - (At(2 * h) - At(-2 * h))) / (12 * h), actual = 0, scale = 0;
        for (int i = 0; i < direction.Length; i++)
        {
            actual += gradient[i] * direction[i];
            scale += gradient[i] * direction[i] * gradient[i] * direction[i];
        }

        // Scores are blind to a shift of all keys: without a past the key bias has no effect, and only rounding is left of its gradient.
        bool blind = name.EndsWith("attention.key.bias", StringComparison.Ordinal) && options().Cache is null;
        double rounding = 100 * 2.2e-16 * fixture.Dy.Length / h;
        Assert.Equal(!blind, Math.Sqrt(scale) > 1e-10);
        Assert.True(
            Math.Abs(expected - actual) <= rounding + (Tolerance * Math.Max(Math.Abs(expected), Math.Sqrt(scale))),
            $"{name}: difference quotient {expected:R}, gradient {actual:R}");
    }
}
