using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Numerics;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class GridKernelTests
{
    public static TheoryData<int> Lanes => LaneCases.All;

    /// <summary>
    /// Scales next to each other are taken for the same, as sums of other orders may round to either; so may the better of two trials be
    /// either, where their gains are the same to the digits of a float.
    /// </summary>
    [Theory]
    [MemberData(nameof(Lanes))]
    public void It_matches_the_reference(int lanes)
    {
        const int Groups = 40;
        for (int bits = 3; bits <= 8; bits++)
        {
            float[] x = Numbers.Normal(Groups * GridKernel.Group, bits);
            for (int g = 0; g < Groups; g++)
            {
                float size = MathF.Pow(10, (g % 9) - 5);
                for (int i = 0; i < GridKernel.Group; i++) x[(g * GridKernel.Group) + i] *= size * (g == 7 ? 0 : g == 8 && i > 0 ? 1e-6f : 1);
            }

            Half[] scales = new Half[Groups];
            using GuardedBuffer<float> from = LaneCases.Guarded(x), to = LaneCases.Guarded(new float[x.Length]);
            fixed (Half* all = scales)
            {
                if (lanes > 0) Wide.Run(lanes, new GridKernel.Work(from.Pointer, to.Pointer, all, Groups, bits));
                else GridKernel.Round(from.Pointer, to.Pointer, all, Groups, bits);
            }

            byte[] codes = new byte[GridKernel.Group];
            for (int g = 0; g < Groups; g++)
            {
                ReadOnlySpan<float> group = x.AsSpan(g * GridKernel.Group, GridKernel.Group);
                Half right = ReferenceGrid.Round(group, bits, codes);
                Assert.InRange(BitConverter.HalfToUInt16Bits(scales[g]) - BitConverter.HalfToUInt16Bits(right), -1, 1);
                ReferenceGrid.Assign(group, scales[g], bits, codes);
                for (int i = 0; i < GridKernel.Group; i++)
                {
                    Assert.Equal((float)scales[g] * QuantizerLevels.For(bits)[codes[i]], to.Span[(g * GridKernel.Group) + i]);
                }
            }
        }
    }

    /// <summary>Little is lost to the search over many scales that compression takes its time for.</summary>
    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(8)]
    public void Its_error_is_near_the_best(int bits)
    {
        double quick = 0, best = 0;
        byte[] codes = new byte[GridKernel.Group];
        float[] levels = QuantizerLevels.For(bits);
        for (int g = 0; g < 400; g++)
        {
            float[] x = Numbers.Normal(GridKernel.Group, g);
            Half scale = ReferenceGrid.Round(x, bits, codes);
            quick += Error(scale);
            best += Error(GroupQuantizer.Quantize(x, bits, codes));
            double Error(Half by) => Enumerable.Range(0, x.Length).Sum(i => Math.Pow(x[i] - ((double)by * levels[codes[i]]), 2));
        }

        Assert.InRange(quick / best, 1, 1.12);
    }
}
