using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Numerics;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class AlphaKernelTilesTests
{
    private const int Moments = BasisFunctions.FactorCount, Tiles = 3, AlphaStride = 11;

    public static TheoryData<int, int, bool> Cases()
    {
        TheoryData<int, int, bool> cases = [];
        foreach (int lanes in LaneCases.All)
        {
            foreach (int width in new[] { 16, 64 })
            {
                cases.Add(lanes, width, false);
                cases.Add(lanes, width, true);
            }
        }

        return cases;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Mixing_many_tiles_is_mixing_one_after_the_other(int lanes, int width, bool transposed)
    {
        AlphaFactorLists lists = new AlphaFactors<float>(TileTransform.Dct, 64).Lists!;
        float[] start = Numbers.Normal(Moments * width, 3);
        using GuardedBuffer<float> alphas = LaneCases.Guarded(Numbers.Normal((Tiles - 1) * AlphaStride + 8, 1)),
            m = LaneCases.Guarded(Numbers.Normal(Tiles * Moments * width, 2));
        using GuardedBuffer<float> together = LaneCases.Guarded(start), single = LaneCases.Guarded(start);
        Wide.Run(lanes, new AlphaKernelTiles.MixWork(lists, alphas.Pointer, AlphaStride, m.Pointer, Tiles, transposed, together.Pointer, width));
        for (int i = 0; i < Tiles; i++)
        {
            float* a = alphas.Pointer + i * AlphaStride, from = m.Pointer + i * Moments * width;
            Wide.Run(lanes, new AlphaKernelTiles.MixWork(lists, a, 0, from, 1, transposed, single.Pointer, width));
        }

        Assert.Equal(single.Span.ToArray(), together.Span.ToArray());
        Assert.NotEqual(start, together.Span.ToArray());
    }

    [Theory]
    [MemberData(nameof(LaneCases.All), MemberType = typeof(LaneCases))]
    public void The_gradient_over_chunks_matches_the_definition(int lanes)
    {
        const int Chunks = 3, Width = 16, MStride = (Tiles * Moments * Width) + 32, SStride = (Moments * Width) + 16;
        AlphaFactors<float> factors = new(TileTransform.Dct, 64);
        AlphaFactors<double> exact = new(TileTransform.Dct, 64);
        float[] a = Numbers.Normal(Chunks * MStride, 1), b = Numbers.Normal(Chunks * SStride, 2), start = Numbers.Normal(8 * Tiles, 3);
        using GuardedBuffer<float> m = LaneCases.Guarded(a), s = LaneCases.Guarded(b), gradient = LaneCases.Guarded(start);
        AlphaFactorLists lists = factors.Lists!;
        Wide.Run(lanes, new AlphaKernelTiles.GradientWork(lists, m.Pointer, MStride, s.Pointer, SStride, Chunks, Tiles, gradient.Pointer, Width));

        double[] ms = LaneCases.Doubles(a), ss = LaneCases.Doubles(b), expected = LaneCases.Doubles(start);
        fixed (double* pm = ms, ps = ss, pg = expected) AlphaKernel.GradientTiles(exact, pm, MStride, ps, SStride, Chunks, Tiles, pg, Width);

        // 8 products a lane and chunk; a product is at most the largest of each side.
        double largest = a.Max(Math.Abs) * b.Max(Math.Abs);
        int products = 8 * Width * Chunks;
        LaneCases.Close(expected, gradient.Span, i => (products + 1) * LaneCases.Rounding * (Math.Abs(start[i]) + products * largest), "gradient");
    }
}
