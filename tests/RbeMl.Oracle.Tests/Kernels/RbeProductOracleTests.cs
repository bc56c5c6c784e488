using System.Numerics;
using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Memory;
using RbeMl.Oracle.Tests.Reference;
using RbeMl.Oracle.Tests.Support;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Kernels;

/// <summary>Products with the alphas and with the sparse coefficients of a matrix, and their gradients, against autograd through the decoded weights.</summary>
public abstract unsafe class RbeProductOracleTests<T> : OracleTest
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int TileRows = 2, TileColumns = 3, Tile = 32, Width = 16;

    private protected RbeProductOracleTests(ITestOutputHelper output)
        : base(output)
    {
    }

    [Theory]
    [InlineData(TileTransform.Dct)]
    [InlineData(TileTransform.WalshHadamard)]
    [InlineData(TileTransform.Haar)]
    [InlineData(TileTransform.Cdf97)]
    [InlineData(TileTransform.None)]
    public void AlphasThroughMoments(TileTransform transform)
    {
        double[] alphas = Numbers.Normal(BasisFunctions.Count, 1);
        RbeMatrix matrix = new(Tile, Tile, Tile, transform, Numbers.Convert<double, float>(alphas), null, [], null, RbeFormat.Sparse(1));
        Problem oracle = new(matrix);

        AlphaFactors<T> factors = new(transform, Tile);
        using NativeBuffer<T> x = Tensors.Native<T>(oracle.Input), g = Tensors.Native<T>(oracle.OutputGradient), a = Tensors.Native<T>(alphas);
        using NativeBuffer<T> y = new(Tile * Width), dx = new(Tile * Width), gradient = new(BasisFunctions.Count);
        using NativeBuffer<T> m = new(BasisFunctions.FactorCount * Width), s = new(m.Length), mixed = new(m.Length), back = new(m.Length);
        AlphaKernel.Moments(factors, x.Pointer, m.Pointer, Width);
        AlphaKernel.MixTiles(factors, a.Pointer, 0, m.Pointer, 1, transposed: false, mixed.Pointer, Width);
        AlphaKernel.Expand(factors, mixed.Pointer, y.Pointer, Width);
        AlphaKernel.Moments(factors, g.Pointer, s.Pointer, Width);
        AlphaKernel.MixTiles(factors, a.Pointer, 0, s.Pointer, 1, transposed: true, back.Pointer, Width);
        AlphaKernel.Expand(factors, back.Pointer, dx.Pointer, Width);
        AlphaKernel.Gradient(factors, m.Pointer, s.Pointer, gradient.Pointer, Width);

        // The alphas are float values times the functions; the longest sums are over a tile, twice, and over the lanes.
        double tolerance = Numbers.Tolerance<T>(2 * Tile + Width);
        Check("y", Numbers.RelativeError<double, T>(oracle.Output, y.Span), tolerance);
        Check("dx", Numbers.RelativeError<double, T>(oracle.InputGradient, dx.Span), tolerance);
        Check("dalpha", Numbers.RelativeError<double, T>(oracle.AlphaGradient, gradient.Span), tolerance);
    }

    [Theory]
    [InlineData(1, 100)]
    [InlineData(4, 25)]
    [InlineData(8, 12)]
    [InlineData(16, 6)]
    [InlineData(1, Tile * Tile)]
    public void SparseCoefficients(int runLength, int runs)
    {
        CoefficientSupport support = RandomSupport(runLength, runs);
        float[] values = Numbers.Convert<double, float>(Numbers.Normal(support.CoefficientsPerTile * TileRows * TileColumns, 2));
        RbeMatrix matrix = new(TileRows * Tile, TileColumns * Tile, Tile, TileTransform.Dct, [], support, values, null, RbeFormat.Sparse(runLength * runs));
        Problem oracle = new(matrix);

        SparsityPattern pattern = new(support, TileRows, TileColumns);
        using NativeBuffer<T> x = Tensors.Native<T>(oracle.Input), g = Tensors.Native<T>(oracle.OutputGradient),
            c = Tensors.Native<T>([.. values.Select(v => (double)v)]);
        using NativeBuffer<T> y = new(TileRows * Tile * Width), dx = new(TileColumns * Tile * Width), gradient = new(values.Length);
        for (int row = 0; row < TileRows; row++)
        {
            // In two parts, as the fused feed-forward walks it.
            T* part = y.Pointer + row * Tile * Width;
            SparseKernel.Multiply(pattern, c.Pointer, row, 0, 1, x.Pointer, part, Width);
            SparseKernel.Multiply(pattern, c.Pointer, row, 1, TileColumns, x.Pointer + Tile * Width, part, Width);
            SparseKernel.Gradient(pattern, row, x.Pointer, x.Length, g.Pointer, g.Length, 1, Width, gradient.Pointer);
        }

        for (int column = 0; column < TileColumns; column++)
        {
            SparseKernel.MultiplyTransposed(pattern, c.Pointer, column, 0, TileRows, g.Pointer, dx.Pointer + column * Tile * Width, Width);
        }

        // The oracle goes through the weights and back: four products with matrices whose angles, up to π · tile, are known to half an ulp of a double.
        double terms = Math.Max(1, (double)support.CoefficientsPerTile / Tile) * TileColumns;
        double oracleError = 4 * Math.PI * Tile * Numbers.UnitRoundoff<double>();
        Check("y", Numbers.RelativeError<double, T>(oracle.Output, y.Span), Numbers.Tolerance<T>(terms) + oracleError);
        Check("dx", Numbers.RelativeError<double, T>(oracle.InputGradient, dx.Span), Numbers.Tolerance<T>(terms) + oracleError);
        Check("dc", Numbers.RelativeError<double, T>(oracle.CoefficientGradient, gradient.Span), Numbers.Tolerance<T>(Width) + oracleError);
    }

    private static CoefficientSupport RandomSupport(int runLength, int runs)
    {
        Random random = new(3);
        ushort[] all = [.. Enumerable.Range(0, Tile * Tile).Where(p => p / Tile % runLength == 0).Select(p => (ushort)p)];
        ushort[] starts = [.. Enumerable.Range(0, TileRows * TileColumns).SelectMany(_ =>
        {
            random.Shuffle(all);
            return all.Take(runs).Order().ToArray();
        })];
        return new CoefficientSupport(Tile, TileRows * TileColumns, runLength, starts);
    }

    /// <summary>
    /// y = W x in torch, seen from the coefficient domain: the kernels get x^ = S' x and give y^, y = S y^, block by block of features.
    /// Inputs and gradients are chosen there and carried over to the weights' domain.
    /// </summary>
    private sealed class Problem
    {
        public Problem(RbeMatrix matrix)
        {
            Tensor analysis = Tensors.From(TransformMatrix.Analysis(matrix.Transform, Tile), Tile, Tile);
            Tensor Blocks(Tensor by, Tensor values) => by.matmul(values.reshape(-1, Tile, Width)).reshape(-1, Width);
            Input = Numbers.Normal(matrix.Columns * Width, 11);
            OutputGradient = Numbers.Normal(matrix.Rows * Width, 12);
            Tensor x = Tensors.Leaf(Input, matrix.Columns, Width);
            TorchRbeMatrix leaves = new(matrix, float64);
            Tensor y = Blocks(analysis, leaves.Decode().matmul(Blocks(analysis.t(), x)));
            y.backward([Tensors.From(OutputGradient, matrix.Rows, Width)]);
            Output = y.ToDoubles();
            InputGradient = x.Gradient();
            AlphaGradient = leaves.Alphas?.Gradient() ?? [];
            CoefficientGradient = leaves.Coefficients?.Gradient() ?? [];
        }

        public double[] Input { get; }

        public double[] OutputGradient { get; }

        public double[] Output { get; }

        public double[] InputGradient { get; }

        public double[] AlphaGradient { get; }

        public double[] CoefficientGradient { get; }
    }
}

public sealed class RbeProductOracleFloat(ITestOutputHelper output) : RbeProductOracleTests<float>(output);

public sealed class RbeProductOracleDouble(ITestOutputHelper output) : RbeProductOracleTests<double>(output);
