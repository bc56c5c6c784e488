using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RbeMl.Codec;

/// <summary>
/// Feedback along the output, beside that along the input. Let G = N D N' be the damped second moment of the output's gradient, factored as in
/// <see cref="FeedbackFactor"/>, and u = E M what errors E of a matrix leave of a column once those before it have been made up for. What follows on the layer
/// errs by the sum over rows r of D_r |e_r|², e_r = u_r + sum over q &lt; r of N[q, r] u_q. So each row's target takes up the u of the rows above it: those
/// of finished tile rows by a product, those of the tile at hand row by row. Tiles left of and above a tile must be finished before it; any thread may
/// work on it.
/// </summary>
internal sealed unsafe class OutputFeedback
{
    private const int Lanes = 16;
    private readonly FeedbackFactor _factor;
    private readonly int _tile;
    private readonly float[] _left; // [column][row]: u
    private readonly float[] _within; // [tile row][row q][row r]: N[q, r] of one tile's rows

    /// <summary>Feedback for a matrix.</summary>
    /// <param name="factor">Of the output's gradient, for rows that are rounded one or several at a time.</param>
    /// <param name="columns">Columns of the matrix in whole tiles.</param>
    /// <param name="tile">B.</param>
    public OutputFeedback(FeedbackFactor factor, int columns, int tile)
    {
        (_factor, _tile) = (factor, tile);
        _left = new float[checked(columns * factor.Size)];
        _within = new float[factor.Size * tile];
        for (int q = 0; q < factor.Size; q++)
        {
            int top = q / tile * tile;
            for (int r = q + 1; r < top + tile; r++) _within[(q * tile) + r - top] = factor.Rows[((long)r * factor.Size) + q];
        }
    }

    /// <summary>What rows of tiles above give to a tile's targets, <c>[B columns][B rows]</c>, written.</summary>
    /// <param name="tileRow">Tile row.</param>
    /// <param name="first">First column of the tile.</param>
    /// <param name="targets">Written.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void FromAbove(int tileRow, int first, Span<float> targets)
    {
        int above = tileRow * _tile, size = _factor.Size;
        targets.Clear();
        if (above == 0) return;
        fixed (float* factor = _factor.Rows, left = _left)
        {
            for (int c = 0; c < _tile; c++)
            {
                float* u = left + ((long)(first + c) * size);
                for (int r = 0; r < _tile; r++)
                {
                    float* n = factor + ((long)(above + r) * size);
                    Vector512<float> even = default, odd = default; // above is a multiple of 32
                    for (int q = 0; q < above; q += 2 * Lanes)
                    {
                        even = Vector512.MultiplyAddEstimate(Vector512.Load(n + q), Vector512.Load(u + q), even);
                        odd = Vector512.MultiplyAddEstimate(Vector512.Load(n + q + Lanes), Vector512.Load(u + q + Lanes), odd);
                    }

                    targets[(c * _tile) + r] = Vector512.Sum(even + odd);
                }
            }
        }
    }

    /// <summary>Notes u of a row of a tile's column, and adds what it gives to the rows below it in the tile.</summary>
    /// <param name="tileRow">Tile row.</param>
    /// <param name="row">Row in the tile.</param>
    /// <param name="column">Column of the matrix.</param>
    /// <param name="left">u.</param>
    /// <param name="targets"><c>[B rows]</c> of the column; added to.</param>
    /// <param name="part"><c>[B rows]</c>, what of the targets is feedback along the output; added to.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Pass(int tileRow, int row, int column, float left, Span<float> targets, Span<float> part)
    {
        int at = (tileRow * _tile) + row;
        _left[((long)column * _factor.Size) + at] = left;
        Vector512<float> u = Vector512.Create(left);
        fixed (float* within = _within, target = targets, own = part)
        {
            float* n = within + ((long)at * _tile);
            for (int r = row / Lanes * Lanes; r < _tile; r += Lanes)
            {
                Vector512<float> given = u * Vector512.Load(n + r);
                (Vector512.Load(target + r) + given).Store(target + r);
                (Vector512.Load(own + r) + given).Store(own + r);
            }
        }
    }
}
