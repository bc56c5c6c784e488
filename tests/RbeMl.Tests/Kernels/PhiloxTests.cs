using RbeMl.Kernels;
using RbeMl.Numerics;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class PhiloxTests
{
    private static readonly RandomKey Key = new(0x0123456789ABCDEF, 7, 3, DropoutSite.FeedForwardResidual);

    public static TheoryData<int> Lanes => LaneCases.All;

    [Fact]
    public void Rounds_give_the_published_answers()
    {
        // Known-answer vectors of the authors' Random123 library, philox4x32 with 10 rounds.
        Assert.Equal((0x6627E8D5u, 0xE169C58Du, 0xBC57AC4Cu, 0x9B00DBD8u), Philox.Rounds(0, 0, 0, 0, 0, 0));
        Assert.Equal(
            (0x408F276Du, 0x41C83B0Eu, 0xA20BC7C6u, 0x6D5451FDu),
            Philox.Rounds(uint.MaxValue, uint.MaxValue, uint.MaxValue, uint.MaxValue, uint.MaxValue, uint.MaxValue));
        Assert.Equal(
            (0xD16CFE09u, 0x94FDCCEBu, 0x5001E420u, 0x24126EA1u), Philox.Rounds(0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0));
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Every_width_has_the_bits_of_the_reference(int lanes)
    {
        for (int width = 0; width <= 257; width++) Check(lanes, firstFeature: 8, rows: 5, firstToken: 1000, width);
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Feature_ranges_and_large_token_numbers_have_the_bits_of_the_reference(int lanes)
    {
        for (int first = 0; first <= 5; first++)
        {
            for (int rows = 0; rows <= 9; rows++) Check(lanes, first, rows, firstToken: 3, width: 35);
        }

        // The token number carries into its upper 32 bits within the block.
        Check(lanes, 2, 6, (1L << 32) - 20, 64);
        Check(0, 2, 6, (1L << 40) - 20, 64);
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void A_dropped_nan_becomes_zero_and_a_kept_one_stays(int lanes)
    {
        float[] block = [.. Enumerable.Repeat(float.NaN, 64 * 4)];
        using GuardedBuffer<float> actual = LaneCases.Guarded(block);
        Apply(lanes, 0.5f, actual.Pointer, 0, 4, 0, 64);
        fixed (float* p = block) ReferenceDropout.Apply(Key, 0.5f, p, 0, 4, 0, 64);
        Assert.Equal(block, actual.Span);
        Assert.InRange(block.Count(float.IsNaN), 1, 255);
    }

    [Fact]
    public void The_share_of_dropped_elements_is_the_probability()
    {
        const int Rows = 400, Width = 64;
        float[] block = [.. Enumerable.Repeat(1f, Rows * Width)];
        fixed (float* p = block) DropoutKernel.Apply(Key, 0.3f, p, 0, Rows, 0, Width);

        // Binomial: five standard deviations.
        double share = block.Count(v => v == 0) / (double)block.Length;
        Assert.Equal(0.3, share, 5 * Math.Sqrt(0.3 * 0.7 / block.Length));
    }

    private static void Check(int lanes, int firstFeature, int rows, long firstToken, int width)
    {
        float[] block = Numbers.Normal(rows * width, 1);
        using GuardedBuffer<float> actual = LaneCases.Guarded(block);
        Apply(lanes, 0.4f, actual.Pointer, firstFeature, rows, firstToken, width);
        fixed (float* p = block) ReferenceDropout.Apply(Key, 0.4f, p, firstFeature, rows, firstToken, width);
        Assert.Equal(block, actual.Span);
    }

    private static void Apply(int lanes, float probability, float* block, int firstFeature, int rows, long firstToken, int width)
    {
        if (lanes > 0) Wide.Run(lanes, new DropoutKernelLanes.ApplyWork(Key, probability, block, firstFeature, rows, firstToken, width));
        else DropoutKernel.Apply(Key, probability, block, firstFeature, rows, firstToken, width);
    }
}
