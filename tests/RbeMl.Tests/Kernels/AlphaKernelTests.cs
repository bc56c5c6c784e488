using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Numerics;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class AlphaKernelTests
{
    private const int Count = BasisFunctions.FactorCount;

    public static TheoryData<int, TileTransform, int> Cases => BlockTransformTests.Cases;

    [Theory]
    [MemberData(nameof(Cases))]
    public void Moments_and_their_expansion_match_the_definition(int lanes, TileTransform transform, int tile)
    {
        AlphaFactors<float> factors = new(transform, tile);
        AlphaFactors<double> exact = new(transform, tile);
        double largest = Enumerable.Range(0, Count * tile).Max(i => Math.Abs(exact.Pointer[i]));
        foreach (int width in new[] { 16, 64 })
        {
            float[] a = Numbers.Normal(tile * width, 1), b = Numbers.Normal(Count * width, 2);
            double[] xs = LaneCases.Doubles(a), ms = new double[b.Length], bs = LaneCases.Doubles(b), ys = LaneCases.Doubles(a);
            fixed (double* px = xs, pm = ms, pb = bs, py = ys)
            {
                ReferenceAlpha.Moments(exact, px, pm, width);
                ReferenceAlpha.Expand(exact, pb, py, width);
            }

            using GuardedBuffer<float> x = LaneCases.Guarded(a), moments = LaneCases.Guarded(b), from = LaneCases.Guarded(b), block = LaneCases.Guarded(a);
            AlphaFactorLists lists = factors.Lists!;
            Wide.Run(lanes, new AlphaKernelLanes.MomentsWork(lists, x.Pointer, moments.Pointer, width));
            Wide.Run(lanes, new AlphaKernelLanes.ExpandWork(lists, from.Pointer, block.Pointer, width));

            // tile (or 12) products and the rounding of the factors, each at most half an ulp of largest * |value|; zeros left out are far below that.
            LaneCases.Close(ms, moments.Span, i => (tile + 2) * LaneCases.Rounding * Bound(exact, i / width, tile, a, i % width, width),
                $"moments {transform} {tile} x {width}");
            LaneCases.Close(ys, block.Span, i => (Count + 3) * LaneCases.Rounding * (Math.Abs(a[i]) + largest * Lane(b, i % width, width)),
                $"expansion {transform} {tile} x {width}");
        }
    }

    [Theory]
    [MemberData(nameof(LaneCases.All), MemberType = typeof(LaneCases))]
    public void Mixing_and_its_gradient_match_the_definition(int lanes)
    {
        AlphaFactors<float> factors = new(TileTransform.Dct, 64);
        AlphaFactors<double> exact = new(TileTransform.Dct, 64);
        AlphaFactorLists lists = factors.Lists!;
        foreach (int width in new[] { 16, 64 })
        {
            float[] alphas = Numbers.Normal(8, 1), a = Numbers.Normal(Count * width, 2), b = Numbers.Normal(Count * width, 3), start = Numbers.Normal(8, 4);
            using GuardedBuffer<float> al = LaneCases.Guarded(alphas), m = LaneCases.Guarded(a), s = LaneCases.Guarded(b),
                mixed = LaneCases.Guarded(b), transposed = LaneCases.Guarded(a), gradient = LaneCases.Guarded(start);
            Wide.Run(lanes, new AlphaKernelTiles.MixWork(lists, al.Pointer, 0, m.Pointer, 1, transposed: false, mixed.Pointer, width));
            Wide.Run(lanes, new AlphaKernelTiles.MixWork(lists, al.Pointer, 0, s.Pointer, 1, transposed: true, transposed.Pointer, width));
            Wide.Run(lanes, new AlphaKernelLanes.GradientWork(lists, m.Pointer, s.Pointer, gradient.Pointer, width));

            double[] als = LaneCases.Doubles(alphas), ms = LaneCases.Doubles(a), ss = LaneCases.Doubles(b);
            double[] mixedExact = LaneCases.Doubles(b), transposedExact = LaneCases.Doubles(a), gradientExact = LaneCases.Doubles(start);
            fixed (double* pa = als, pm = ms, ps = ss, pMixed = mixedExact, pTransposed = transposedExact, pGradient = gradientExact)
            {
                ReferenceAlpha.Mix(exact, pa, pm, pMixed, width);
                ReferenceAlpha.MixTransposed(exact, pa, ps, pTransposed, width);
                ReferenceAlpha.Gradient(exact, pm, ps, pGradient, width);
            }

            // At most 5 terms of alpha * moment a sum, and 8 * width products a gradient.
            double alpha = alphas.Max(Math.Abs), dot = Dot(a, b);
            LaneCases.Close(mixedExact, mixed.Span, i => 6 * LaneCases.Rounding * (Math.Abs(b[i]) + alpha * Lane(a, i % width, width)), "mix");
            LaneCases.Close(transposedExact, transposed.Span, i => 6 * LaneCases.Rounding * (Math.Abs(a[i]) + alpha * Lane(b, i % width, width)),
                "transposed mix");
            LaneCases.Close(gradientExact, gradient.Span, i => (8 * width + 1) * LaneCases.Rounding * (Math.Abs(start[i]) + dot), "gradient");
        }
    }

    [Fact]
    public void Odd_frequencies_of_the_even_functions_are_left_out()
    {
        AlphaFactorLists lists = new AlphaFactors<float>(TileTransform.Dct, 64).Lists!;
        Assert.Equal(32, lists.Functions.Count);
        Assert.Equal(32, lists.Distance.Count);
        for (int e = 0; e < 32; e++) Assert.Equal(2 * e, lists.Distance.Steps[e].Column);
    }

    [Fact]
    public void Facades_of_float_and_double_agree()
    {
        const int Tile = 32, Width = 16;
        AlphaFactors<float> factors = new(TileTransform.Haar, Tile);
        AlphaFactors<double> exact = new(TileTransform.Haar, Tile);
        float[] a = Numbers.Normal(Tile * Width, 1);
        using GuardedBuffer<float> x = LaneCases.Guarded(a), moments = new(Count * Width);
        double[] xs = LaneCases.Doubles(a), ms = new double[Count * Width];
        AlphaKernel.Moments(factors, x.Pointer, moments.Pointer, Width);
        fixed (double* px = xs, pm = ms) AlphaKernel.Moments(exact, px, pm, Width);
        LaneCases.Close(ms, moments.Span, i => (Tile + 2) * LaneCases.Rounding * Bound(exact, i / Width, Tile, a, i % Width, Width), "moments");
    }

    // Largest coefficient of a factor times the sum of |x| of a lane.
    private static double Bound(AlphaFactors<double> factors, int factor, int tile, float[] x, int lane, int width) =>
        Enumerable.Range(factor * tile, tile).Max(i => Math.Abs(factors.Pointer[i])) * Lane(x, lane, width);

    private static double Lane(float[] x, int lane, int width)
    {
        double sum = 0;
        for (int i = lane; i < x.Length; i += width) sum += Math.Abs(x[i]);
        return sum;
    }

    // A bound of any of the gradient's sums: a product of every moment of one side with every moment of the other, lane by lane.
    private static double Dot(float[] a, float[] b)
    {
        int width = a.Length / Count;
        return Enumerable.Range(0, width).Sum(lane => Lane(a, lane, width) * Lane(b, lane, width));
    }
}
