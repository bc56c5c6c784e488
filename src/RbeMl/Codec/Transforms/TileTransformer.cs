using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace RbeMl.Codec;

/// <summary>
/// The 2-D transform of one tile in double, as two matrix products, all <c>[B, B]</c> row-major: analysis C = A W A', synthesis W = S C S' and the
/// adjoint of synthesis S' G S, which is the analysis only for orthonormal transforms.
/// Holds scratch, so every thread needs its own.
/// </summary>
internal sealed class TileTransformer
{
    private readonly bool _identity;
    private readonly double[] _analysis;
    private readonly double[] _analysisTransposed;
    private readonly double[] _synthesis;
    private readonly double[] _synthesisTransposed;
    private readonly double[] _scratch;

    public TileTransformer(TileTransform transform, int tile)
    {
        Tile = tile;
        _identity = transform == TileTransform.None;
        _scratch = new double[tile * tile];
        _analysis = TransformMatrix.Analysis(transform, tile);
        _synthesis = TransformMatrix.Synthesis(transform, tile);
        bool orthonormal = TransformMatrix.IsOrthonormal(transform);
        _analysisTransposed = orthonormal ? _synthesis : Transpose(_analysis);
        _synthesisTransposed = orthonormal ? _analysis : Transpose(_synthesis);
    }

    /// <summary>Tile edge B.</summary>
    public int Tile { get; }

    /// <summary>Analysis: coefficients = A cells A'. The two may be the same.</summary>
    public void Forward(ReadOnlySpan<double> cells, Span<double> coefficients) => Apply(_analysis, cells, _analysisTransposed, coefficients);

    /// <summary>Synthesis: cells = S coefficients S'. The two may be the same.</summary>
    public void Inverse(ReadOnlySpan<double> coefficients, Span<double> cells) => Apply(_synthesis, coefficients, _synthesisTransposed, cells);

    /// <summary>The adjoint of synthesis: the gradient of the coefficients S' G S from that of the cells. The two may be the same.</summary>
    public void Adjoint(ReadOnlySpan<double> gradient, Span<double> coefficients) => Apply(_synthesisTransposed, gradient, _synthesis, coefficients);

    private double[] Transpose(double[] m)
    {
        double[] t = new double[m.Length];
        for (int e = 0; e < t.Length; e++) t[e] = m[e % Tile * Tile + e / Tile];
        return t;
    }

    private void Apply(double[] left, ReadOnlySpan<double> x, double[] right, Span<double> y)
    {
        if (_identity)
        {
            x.CopyTo(y);
            return;
        }

        Multiply(left, x, _scratch, Tile);
        Multiply(_scratch, right, y, Tile);
    }

    // c = a b, n x n, n a multiple of 16; four rows by sixteen columns at a time. Products and sums are fused where the processor can.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply(ReadOnlySpan<double> a, ReadOnlySpan<double> b, Span<double> c, int n)
    {
        if (a.Length < n * n || b.Length < n * n || c.Length < n * n) throw new ArgumentException("A tile's buffers hold B * B values.");
        ref double ar = ref MemoryMarshal.GetReference(a);
        ref double br = ref MemoryMarshal.GetReference(b);
        ref double cr = ref MemoryMarshal.GetReference(c);
        for (int i = 0; i < n; i += 4)
        {
            for (int j = 0; j < n; j += 16)
            {
                Vector512<double> c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default, c30 = default, c31 = default;
                for (int k = 0; k < n; k++)
                {
                    Vector512<double> b0 = Vector512.LoadUnsafe(ref br, (nuint)(k * n + j)), b1 = Vector512.LoadUnsafe(ref br, (nuint)(k * n + j + 8));
                    Vector512<double> a0 = Vector512.Create(Unsafe.Add(ref ar, i * n + k)), a1 = Vector512.Create(Unsafe.Add(ref ar, (i + 1) * n + k));
                    Vector512<double> a2 = Vector512.Create(Unsafe.Add(ref ar, (i + 2) * n + k)), a3 = Vector512.Create(Unsafe.Add(ref ar, (i + 3) * n + k));
                    c00 = Vector512.MultiplyAddEstimate(a0, b0, c00);
                    c01 = Vector512.MultiplyAddEstimate(a0, b1, c01);
                    c10 = Vector512.MultiplyAddEstimate(a1, b0, c10);
                    c11 = Vector512.MultiplyAddEstimate(a1, b1, c11);
                    c20 = Vector512.MultiplyAddEstimate(a2, b0, c20);
                    c21 = Vector512.MultiplyAddEstimate(a2, b1, c21);
                    c30 = Vector512.MultiplyAddEstimate(a3, b0, c30);
                    c31 = Vector512.MultiplyAddEstimate(a3, b1, c31);
                }

                nuint at = (nuint)(i * n + j), row = (nuint)n;
                c00.StoreUnsafe(ref cr, at);
                c01.StoreUnsafe(ref cr, at + 8);
                c10.StoreUnsafe(ref cr, at + row);
                c11.StoreUnsafe(ref cr, at + row + 8);
                c20.StoreUnsafe(ref cr, at + 2 * row);
                c21.StoreUnsafe(ref cr, at + 2 * row + 8);
                c30.StoreUnsafe(ref cr, at + 3 * row);
                c31.StoreUnsafe(ref cr, at + 3 * row + 8);
            }
        }
    }
}
