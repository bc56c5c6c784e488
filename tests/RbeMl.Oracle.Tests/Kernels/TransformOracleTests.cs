using System.Numerics;
using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Memory;
using RbeMl.Numerics;
using RbeMl.Oracle.Tests.Support;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Kernels;

/// <summary>The tile transforms against definitions that share nothing with the library: the DCT by torch's FFT, Walsh-Hadamard and Haar by recursion,
/// CDF 9/7 by its filters on the mirrored signal.</summary>
public abstract unsafe class TransformOracleTests<T> : OracleTest
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private protected TransformOracleTests(ITestOutputHelper output)
        : base(output)
    {
    }

    public static TheoryData<TileTransform, int, int> Cases
    {
        get
        {
            TheoryData<TileTransform, int, int> cases = [];
            foreach (TileTransform transform in Enum.GetValues<TileTransform>())
            {
                foreach (int tile in (int[])[32, 64, 128])
                {
                    cases.Add(transform, tile, 16);
                    cases.Add(transform, tile, 64);
                }
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void ForwardAndInverse(TileTransform transform, int tile, int width)
    {
        double[] input = Numbers.Normal(tile * width, 1);
        Tensor x = Tensors.From(input, tile, width);
        using NativeBuffer<T> xs = Tensors.Native<T>(input), ys = new(input.Length), back = new(input.Length);
        BlockTransform.Forward(transform, tile, xs.Pointer, ys.Pointer, width);
        BlockTransform.Inverse(transform, tile, xs.Pointer, back.Pointer, width);

        // Synthesis undoes analysis, and forward is its adjoint; for an orthonormal transform that is analysis again.
        Tensor analysis = Columns(transform, eye(tile, dtype: float64));
        Tensor synthesis = linalg.inv(analysis);
        Check("S' x", Numbers.RelativeError<double, T>(synthesis.t().matmul(x).ToDoubles(), ys.Span), Tolerance(tile));
        Check("S x", Numbers.RelativeError<double, T>(synthesis.matmul(x).ToDoubles(), back.Span), Tolerance(tile));
    }

    [Theory]
    [InlineData(32)]
    [InlineData(64)]
    [InlineData(128)]
    public void TheTwoDimensionalDctOfATile(int tile)
    {
        double[] input = Numbers.Normal(tile * tile, 2);
        Tensor expected = Columns(TileTransform.Dct, Columns(TileTransform.Dct, Tensors.From(input, tile, tile)).t()).t();

        using NativeBuffer<T> a = Tensors.Native<T>(input), b = new(input.Length), c = new(input.Length);
        BlockTransform.Forward(TileTransform.Dct, tile, a.Pointer, b.Pointer, tile);
        Elementwise.Transpose(b.Pointer, tile, tile, tile, c.Pointer, tile);
        BlockTransform.Forward(TileTransform.Dct, tile, c.Pointer, b.Pointer, tile);
        Elementwise.Transpose(b.Pointer, tile, tile, tile, c.Pointer, tile);
        Check("M A M'", Numbers.RelativeError<double, T>(expected.ToDoubles(), c.Span), 2 * Tolerance(tile));
    }

    // Sums over the tile, with matrices whose angles, up to π · tile, are known to half an ulp of a double.
    private static double Tolerance(int tile) => Numbers.Tolerance<T>(tile) + Math.PI * tile * Numbers.UnitRoundoff<double>();

    // The analysis of each column of x [n, width].
    private static Tensor Columns(TileTransform transform, Tensor x) => transform switch
    {
        TileTransform.Dct => Dct(x),
        TileTransform.WalshHadamard => Hadamard((int)x.shape[0]).matmul(x) / Math.Sqrt(x.shape[0]),
        TileTransform.Haar => Haar(x),
        TileTransform.Cdf97 => Wavelet(x),
        _ => x,
    };

    // DCT-II by the Fourier transform of the column followed by its mirror image.
    private static Tensor Dct(Tensor x)
    {
        long n = x.shape[0];
        Tensor spectrum = fft.fft_(cat([x, x.flip(0)], 0), dim: 0).narrow(0, 0, n);
        Tensor angle = -Math.PI / (2 * n) * arange(n, float64).reshape(-1, 1);
        Tensor sums = (spectrum.real * cos(angle) - spectrum.imag * sin(angle)) / 2;
        Tensor scale = full([n, 1], Math.Sqrt(2.0 / n), float64);
        scale[0, 0] = Math.Sqrt(1.0 / n);
        return sums * scale;
    }

    // The nine taps of the scaling filter and the seven of the wavelet, with gains sqrt 2 at frequency 0 and at the highest, as printed in the
    // literature; to twelve digits, which is enough for float and, through the tolerance below, for double.
    private static readonly double[] s_low = [0.852698679009404, 0.377402855612654, -0.110624404418423, -0.023849465019380, 0.037828455506995];
    private static readonly double[] s_high = [0.788485616405664, -0.418092273222212, -0.040689417609558, 0.064538882628938];

    // Every second output of both filters over the column mirrored at its first and last sample; then the same of the scaling part, down to 4.
    private static Tensor Wavelet(Tensor x)
    {
        int n = (int)x.shape[0];
        if (n == 4) return x;
        Tensor filter = zeros(n, n, float64);
        void Add(int row, int sample, double tap)
        {
            int mirrored = sample < 0 ? -sample : sample >= n ? 2 * (n - 1) - sample : sample;
            filter[row, mirrored] += tap;
        }

        for (int i = 0; i < n / 2; i++)
        {
            for (int k = -4; k <= 4; k++) Add(i, 2 * i + k, s_low[Math.Abs(k)]);
            for (int k = -3; k <= 3; k++) Add(n / 2 + i, 2 * i + 1 + k, s_high[Math.Abs(k)]);
        }

        Tensor y = filter.matmul(x);
        return cat([Wavelet(y.narrow(0, 0, n / 2)), y.narrow(0, n / 2, n / 2)], 0);
    }

    private static Tensor Hadamard(int n)
    {
        if (n == 1) return ones(1, 1, float64);
        Tensor half = Hadamard(n / 2);
        return cat([cat([half, half], 1), cat([half, -half], 1)], 0);
    }

    // Means and differences of neighbours; then the same of the means.
    private static Tensor Haar(Tensor x)
    {
        if (x.shape[0] == 1) return x;
        Tensor pairs = x.reshape(x.shape[0] / 2, 2, -1);
        Tensor sum = (pairs.select(1, 0) + pairs.select(1, 1)) / Math.Sqrt(2), difference = (pairs.select(1, 0) - pairs.select(1, 1)) / Math.Sqrt(2);
        return cat([Haar(sum), difference], 0);
    }
}

public sealed class TransformOracleFloat(ITestOutputHelper output) : TransformOracleTests<float>(output);

public sealed class TransformOracleDouble(ITestOutputHelper output) : TransformOracleTests<double>(output);
