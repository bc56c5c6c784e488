using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Numerics;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class BlockTransformTests
{
    public static TheoryData<int, TileTransform, int> Cases
    {
        get
        {
            TheoryData<int, TileTransform, int> cases = [];
            foreach (int lanes in LaneCases.All)
            {
                foreach (TileTransform transform in Enum.GetValues<TileTransform>())
                {
                    foreach (int tile in new[] { 32, 64, 128 }) cases.Add(lanes, transform, tile);
                }
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Both_directions_match_the_definition(int lanes, TileTransform transform, int tile)
    {
        foreach (int width in new[] { 16, 64 })
        {
            float[] input = Numbers.Normal(tile * width, tile + width);
            foreach (bool inverse in new[] { false, true })
            {
                double[] expected = Expected(transform, tile, input, width, inverse);
                foreach (bool inPlace in new[] { false, true })
                {
                    using GuardedBuffer<float> x = LaneCases.Guarded(input);
                    using GuardedBuffer<float> y = new(input.Length);
                    float* output = inPlace ? x.Pointer : y.Pointer;
                    Run(lanes, inverse, transform, tile, x.Pointer, output, width);
                    LaneCases.Close(expected, new ReadOnlySpan<float>(output, input.Length), i => Tolerance(tile, input, width, i % width),
                        $"{transform} {tile} x {width}, inverse {inverse}, in place {inPlace}");
                    if (!inPlace) Assert.Equal(input, x.Span.ToArray());
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_inverse_undoes_and_is_the_adjoint(int lanes, TileTransform transform, int tile)
    {
        const int Width = 16;
        float[] a = Numbers.Normal(tile * Width, 1), b = Numbers.Normal(tile * Width, 2);
        using GuardedBuffer<float> x = LaneCases.Guarded(a), y = LaneCases.Guarded(b), mx = new(a.Length), my = new(a.Length);
        Run(lanes, inverse: false, transform, tile, x.Pointer, mx.Pointer, Width);
        Run(lanes, inverse: true, transform, tile, y.Pointer, my.Pointer, Width);
        for (int lane = 0; lane < Width; lane++)
        {
            double left = 0, right = 0, norm = 0, transformedNorm = 0;
            for (int i = lane; i < a.Length; i += Width)
            {
                left += (double)mx.Span[i] * b[i];
                right += (double)a[i] * my.Span[i];
                norm += (double)a[i] * a[i];
                transformedNorm += (double)mx.Span[i] * mx.Span[i];
            }

            double tolerance = 2 * Tolerance(tile, a, Width, lane) * Math.Sqrt(tile);
            Assert.InRange(left - right, -tolerance, tolerance);
            if (TransformMatrix.IsOrthonormal(transform)) Assert.InRange(transformedNorm / norm, 1 - 1e-5, 1 + 1e-5);
        }

        if (!TransformMatrix.IsOrthonormal(transform)) return;

        Run(lanes, inverse: true, transform, tile, mx.Pointer, mx.Pointer, Width);
        LaneCases.Close(LaneCases.Doubles(a), mx.Span, i => 2 * Tolerance(tile, a, Width, i % Width), $"{transform} {tile} there and back");
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_NaN_stays_in_its_lane(int lanes, TileTransform transform, int tile)
    {
        const int Width = 16, Bad = 5;
        float[] input = Numbers.Normal(tile * Width, 3);
        input[7 * Width + Bad] = float.NaN;
        using GuardedBuffer<float> x = LaneCases.Guarded(input), y = new(input.Length);
        foreach (bool inverse in new[] { false, true })
        {
            Run(lanes, inverse, transform, tile, x.Pointer, y.Pointer, Width);
            bool any = false;
            for (int i = 0; i < input.Length; i++)
            {
                if (i % Width == Bad) any |= float.IsNaN(y.Span[i]);
                else Assert.True(float.IsFinite(y.Span[i]));
            }

            Assert.True(any);
        }
    }

    [Theory]
    [InlineData(TileTransform.Dct)]
    [InlineData(TileTransform.WalshHadamard)]
    [InlineData(TileTransform.Haar)]
    [InlineData(TileTransform.Cdf97)]
    [InlineData(TileTransform.None)]
    public void Facades_of_float_and_double_agree(TileTransform transform)
    {
        const int Tile = 64, Width = 64;
        float[] a = Numbers.Normal(Tile * Width, 4);
        double[] xs = LaneCases.Doubles(a), ys = new double[a.Length], zs = new double[a.Length];
        using GuardedBuffer<float> x = LaneCases.Guarded(a), y = new(a.Length), z = new(a.Length);
        BlockTransform.Forward(transform, Tile, x.Pointer, y.Pointer, Width);
        BlockTransform.Inverse(transform, Tile, x.Pointer, z.Pointer, Width);
        fixed (double* px = xs, py = ys, pz = zs)
        {
            BlockTransform.Forward(transform, Tile, px, py, Width);
            BlockTransform.Inverse(transform, Tile, px, pz, Width);
        }

        LaneCases.Close(ys, y.Span, i => Tolerance(Tile, a, Width, i % Width), $"{transform} forward");
        LaneCases.Close(zs, z.Span, i => Tolerance(Tile, a, Width, i % Width), $"{transform} inverse");
    }

    [Fact]
    public void Other_tiles_are_refused() => Assert.Throws<InvalidSettingException>(() =>
    {
        float value = 0;
        BlockTransform.Forward(TileTransform.Dct, 48, &value, &value, 16);
    });

    // Every output is a sum over log2(tile) levels, each of which rounds a few times values no larger than the lane's norm; Lee's split multiplies by
    // large secants whose effect cancels, hence the factor 4.
    private static double Tolerance(int tile, float[] input, int width, int lane)
    {
        double sum = 0;
        for (int i = lane; i < input.Length; i += width) sum += (double)input[i] * input[i];
        return 4 * Math.Log2(tile) * LaneCases.Rounding * Math.Sqrt(sum);
    }

    private static double[] Expected(TileTransform transform, int tile, float[] input, int width, bool inverse)
    {
        double[] x = LaneCases.Doubles(input), y = new double[x.Length];
        fixed (double* px = x, py = y)
        {
            if (inverse) ReferenceBlockTransform.Inverse(transform, tile, px, py, width);
            else ReferenceBlockTransform.Forward(transform, tile, px, py, width);
        }

        return y;
    }

    private static void Run(int lanes, bool inverse, TileTransform transform, int tile, float* x, float* y, int width)
    {
        if (inverse) Wide.Run(lanes, new BlockTransform.InverseWork(transform, tile, x, y, width));
        else Wide.Run(lanes, new BlockTransform.ForwardWork(transform, tile, x, y, width));
    }
}
