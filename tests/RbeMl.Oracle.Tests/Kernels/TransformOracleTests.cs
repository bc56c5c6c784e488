using System.Numerics;
using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Memory;
using RbeMl.Oracle.Tests.Support;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Kernels;

/// <summary>The tile transforms against definitions that share nothing with the library: the DCT by torch's FFT, Walsh-Hadamard and Haar by recursion.</summary>
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
        double[] expected = Columns(transform, x).ToDoubles();
        Check("M x", Numbers.RelativeError<double, T>(expected, ys.Span), Tolerance(tile));

        // The inverse of an orthonormal transform is its adjoint: its columns are the transform of the unit vectors.
        Tensor adjoint = Columns(transform, eye(tile, dtype: float64)).t().matmul(x);
        Check("M' x", Numbers.RelativeError<double, T>(adjoint.ToDoubles(), back.Span), Tolerance(tile));
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

    // The transform of each column of x [n, width].
    private static Tensor Columns(TileTransform transform, Tensor x) => transform switch
    {
        TileTransform.Dct => Dct(x),
        TileTransform.WalshHadamard => Hadamard((int)x.shape[0]).matmul(x) / Math.Sqrt(x.shape[0]),
        TileTransform.Haar => Haar(x),
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
