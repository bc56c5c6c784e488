using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RbeMl.Codec;

/// <summary>
/// Coefficients of one row of tiles while their columns are rounded one after the other: originals, what the feedback has made of them, and errors, all
/// <c>[column][coefficient row]</c>, so that vector lanes are coefficient rows.
/// </summary>
internal sealed unsafe class FeedbackRows
{
    private const int Lanes = 32; // coefficient rows done at a time: two vectors
    private readonly FeedbackFactor _factor;

    public FeedbackRows(FeedbackFactor factor, int tile)
    {
        _factor = factor;
        Tile = tile;
        Original = new float[factor.Size * tile];
        Errors = new float[factor.Size * tile];
        Targets = new float[tile * tile];
    }

    /// <summary>B: coefficient rows.</summary>
    public int Tile { get; }

    /// <summary><c>[columns][B]</c>.</summary>
    public float[] Original { get; }

    /// <summary>Original less stored, <c>[columns][B]</c>; written column by column.</summary>
    public float[] Errors { get; }

    /// <summary>What is to be rounded in the tile that was begun, <c>[B columns][B]</c>.</summary>
    public float[] Targets { get; }

    /// <summary>First column of the tile that was begun.</summary>
    public int First { get; private set; }

    /// <summary>
    /// Begins the tile whose first column is <paramref name="first"/>: its targets become the originals and the feedback of all columns
    /// before it.
    /// </summary>
    public void Begin(int first)
    {
        First = first;
        fixed (float* factor = _factor.Rows, errors = Errors, original = Original, targets = Targets)
        {
            for (int k = 0; k < Tile; k += 4)
            {
                float* f = factor + (long)(first + k) * _factor.Size;
                for (int r = 0; r < Tile; r += Lanes)
                {
                    FourColumns(f, _factor.Size, errors + r, first, original + (long)(first + k) * Tile + r, targets + k * Tile + r, Tile);
                }
            }
        }
    }

    /// <summary>Adds to the target of a column of the tile the feedback of its columns <paramref name="from"/> .. <paramref name="to"/> - 1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void AddFeedback(int column, int from, int to)
    {
        fixed (float* factor = _factor.Rows, errors = Errors, targets = Targets)
        {
            float* f = factor + ((long)(First + column) * _factor.Size) + First, e = errors + (long)First * Tile, t = targets + column * Tile;
            for (int r = 0; r < Tile; r += Lanes)
            {
                Vector512<float> x = Vector512.Load(t + r), y = Vector512.Load(t + r + 16);
                for (int j = from; j < to; j++)
                {
                    Vector512<float> w = Vector512.Create(f[j]);
                    x = Vector512.MultiplyAddEstimate(w, Vector512.Load(e + j * Tile + r), x);
                    y = Vector512.MultiplyAddEstimate(w, Vector512.Load(e + j * Tile + r + 16), y);
                }

                x.Store(t + r);
                y.Store(t + r + 16);
            }
        }
    }

    /// <summary>Target of one coefficient of the tile.</summary>
    public float Target(int row, int column) => Targets[column * Tile + row];

    /// <summary>Notes what is stored for one coefficient of the tile.</summary>
    public void Store(int row, int column, float value)
    {
        int at = (First + column) * Tile + row;
        Errors[at] = Original[at] - value;
    }

    // 32 rows of four columns: targets = original + sum over j < count of errors[j] * factor[column][j].
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FourColumns(float* factor, long factorStride, float* errors, int count, float* original, float* targets, int stride)
    {
        Vector512<float> x0 = default, y0 = default, x1 = default, y1 = default, x2 = default, y2 = default, x3 = default, y3 = default;
        float* f1 = factor + factorStride, f2 = f1 + factorStride, f3 = f2 + factorStride;
        for (int j = 0; j < count; j++, errors += stride)
        {
            Vector512<float> x = Vector512.Load(errors), y = Vector512.Load(errors + 16);
            Vector512<float> w0 = Vector512.Create(factor[j]), w1 = Vector512.Create(f1[j]), w2 = Vector512.Create(f2[j]), w3 = Vector512.Create(f3[j]);
            x0 = Vector512.MultiplyAddEstimate(w0, x, x0);
            y0 = Vector512.MultiplyAddEstimate(w0, y, y0);
            x1 = Vector512.MultiplyAddEstimate(w1, x, x1);
            y1 = Vector512.MultiplyAddEstimate(w1, y, y1);
            x2 = Vector512.MultiplyAddEstimate(w2, x, x2);
            y2 = Vector512.MultiplyAddEstimate(w2, y, y2);
            x3 = Vector512.MultiplyAddEstimate(w3, x, x3);
            y3 = Vector512.MultiplyAddEstimate(w3, y, y3);
        }

        Add(original, x0, y0, targets);
        Add(original + stride, x1, y1, targets + stride);
        Add(original + 2 * stride, x2, y2, targets + 2 * stride);
        Add(original + 3 * stride, x3, y3, targets + 3 * stride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(float* original, Vector512<float> x, Vector512<float> y, float* target)
    {
        (Vector512.Load(original) + x).Store(target);
        (Vector512.Load(original + 16) + y).Store(target + 16);
    }
}
