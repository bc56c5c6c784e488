using RbeMl.Codec;
using RbeMl.Compression;
using RbeMl.Layers;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Models;

/// <summary>Which tokens a block's calibration counts, and how far it trusts them.</summary>
public sealed class CalibrationTokensTests
{
    private const int Width = 64, Batch = 3, Length = 32;
    private static readonly TransformerConfig s_config = new() { Width = Width, FeedForwardWidth = 128, Heads = 4, MaxSequenceLength = Length };
    private static readonly DenseBlockWeights s_dense = DenseBlockWeights.Gpt2Initialization(s_config, 1);
    private static readonly PerMatrix<RbeOptions> s_options = new(new RbeOptions { Format = RbeFormat.Quantized(4), Alphas = false });

    [Fact]
    public void PositionsThatDoNotCountAreOnlyAttendedTo()
    {
        BlockActivationData x = Activations(Batch, 2);
        BlockCalibration all = BlockCalibration.Run(s_dense, s_config, x),
            first = BlockCalibration.Run(s_dense, s_config, x with { Positions = ..20 }),
                rest = BlockCalibration.Run(s_dense, s_config, x with { Positions = 20.. });
        Assert.Equal(all.Output.Values, rest.Output.Values);
        foreach (BlockMatrix m in PerMatrix.All)
        {
            SecondMoment a = first[m].Moment, b = rest[m].Moment, whole = all[m].Moment;
            Assert.Equal((Batch * 20, Batch * 12), (a.Tokens, b.Tokens));

            // Sums of 96 products in double.
            for (int e = 0; e < 64 * 64; e++)
            {
                Assert.Equal(whole[e / 64, e % 64], a[e / 64, e % 64] + b[e / 64, e % 64],
                    1e-12 * Math.Abs(whole[e / 64, e / 64]) + 1e-12 * Math.Abs(whole[e % 64, e % 64]));
            }
        }
    }

    [Fact]
    public void ErrorsAreOfThePositionsThatCount()
    {
        BlockActivationData x = new([1, 2, 3, 4, 5, 6, 7, 8], 2, 2, 2), last = x with { Positions = 1.. };
        float[] y = [9, 9, 3, 5, 9, 9, 7, 8];

        // Second tokens are 3, 4 and 7, 8: off by 1 in all.
        Assert.Equal(1 / Math.Sqrt(9 + 16 + 49 + 64), last.RelativeErrorOf(y), 1e-12);
        Assert.Equal(RbeCompressor.RelativeError(x.Values, y), x.RelativeErrorOf(y));
        Assert.Throws<ShapeMismatchException>(() => x.RelativeErrorOf(new float[4]));
        Assert.Throws<InvalidSettingException>(() => x with { Positions = ..3 });
        Assert.Throws<InvalidSettingException>(() => x with { Positions = 1..1 });
    }

    [Fact]
    public void AnotherDampingIsThatOfAnotherRun()
    {
        BlockActivationData x = Activations(Batch, 3);
        BlockCalibration damped = BlockCalibration.Run(s_dense, s_config, x).WithDamping(3);
        Assert.Equal(3, damped.Damping);
        Assert.All(PerMatrix.All, m => Assert.Equal(3, damped[m].Damping));
        BlockExample example = damped.Example;
        Assert.Equal(CalibratedBlock.Compress(s_dense, s_config, s_options, BlockCalibration.Run(s_dense, s_config, x, damping: 3))
            .OutputError(s_config, example), CalibratedBlock.Compress(s_dense, s_config, s_options, damped).OutputError(s_config, example));
        Assert.Throws<InvalidSettingException>(() => damped.WithDamping(0));
    }

    [Fact]
    public void DampingIsFoundOnOtherTokens()
    {
        // So little damping that rounding believes every accident of a few tokens.
        BlockCalibration rash = BlockCalibration.Run(s_dense, s_config, Activations(1, 4), damping: 1e-6);
        BlockCalibration tuned = rash.Tuned(s_dense, s_config, Activations(2, 5));
        BlockExample fresh = BlockExample.Run(s_dense, s_config, Activations(8, 6));
        Assert.InRange(tuned.Damping!.Value, 1, 100);

        // Third tokens, that neither of them has seen: more than a tenth better.
        Assert.True(ErrorOf(tuned) < 0.9 * ErrorOf(rash));

        double ErrorOf(BlockCalibration calibration) => CalibratedBlock.Compress(s_dense, s_config, s_options, calibration).OutputError(s_config, fresh);
    }

    private static BlockActivationData Activations(int batch, int seed) => new(Numbers.Normal(batch * Length * Width, seed), batch, Length, Width);
}
