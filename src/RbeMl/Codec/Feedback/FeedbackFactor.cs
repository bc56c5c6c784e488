using RbeMl.Numerics;

namespace RbeMl.Codec;

/// <summary>
/// The factor of H = M D M' (M unit upper triangular, D diagonal), H being the damped second moment of a layer's input in the coefficient
/// domain of a tile transform. With errors E = W - What the output error is tr(E H E') = sum over columns k of D_k |e_k|², e_k = E_k + sum
/// over j &lt; k of E_j M[j, k]. Rounding column k of W_k + sum over j &lt; k of E_j M[j, k] therefore leaves only the rounding errors
/// themselves, weighted by D: this is GPTQ's and LDLQ's feedback (Frantar et al. 2022; Chee et al. 2023), without an inverse.
/// </summary>
internal sealed class FeedbackFactor
{
    private FeedbackFactor(int size, float[] rows)
    {
        Size = size;
        Rows = rows;
    }

    /// <summary>Columns of the matrix in whole tiles.</summary>
    public int Size { get; }

    /// <summary><c>[Size, Size]</c>: row k holds M[j, k] for j &lt; k, contiguous in j; the rest is zero.</summary>
    public float[] Rows { get; }

    /// <summary>Transforms, damps and factors a second moment.</summary>
    /// <param name="moment">The sums.</param>
    /// <param name="centered">Whether the mean is taken out, as a bias correction makes right.</param>
    /// <param name="transform">An orthonormal transform.</param>
    /// <param name="tile">B.</param>
    /// <param name="damping">Share of the mean diagonal that is added to the diagonal.</param>
    /// <param name="parallel">Threads and cancellation; null for all processors.</param>
    /// <exception cref="InvalidSettingException">The transform is not orthonormal: then rows of coefficients do not err independently.</exception>
    public static FeedbackFactor Create(SecondMoment moment, bool centered, TileTransform transform, int tile, double damping, ParallelOptions? parallel = null)
    {
        if (!Enum.IsDefined(transform) || !TransformMatrix.IsOrthonormal(transform))
        {
            throw new InvalidSettingException("transform", transform,
                "calibration of a quantised format needs an orthonormal one: use Dct, WalshHadamard, Haar or None.");
        }

        parallel ??= new ParallelOptions();
        int tiles = (moment.Features + tile - 1) / tile, size = tiles * tile;
        double[] matrix = Transformed(moment, centered, transform, tile, tiles, parallel);
        double trace = 0;
        for (int i = 0; i < size; i++) trace += matrix[(long)i * size + i];
        double added = trace > 0 ? damping * trace / moment.Features : 1;
        for (int i = 0; i < size; i++) matrix[(long)i * size + i] += added;
        CholeskyFactor.Factor(matrix, size, parallel);
        float[] rows = new float[matrix.Length];
        Parallel.For(0, size, parallel, k =>
        {
            long row = (long)(size - 1 - k) * size;
            double inverse = 1 / matrix[row + size - 1 - k];
            for (int j = 0; j < k; j++) rows[(long)k * size + j] = (float)(matrix[row + size - 1 - j] * inverse);
        });
        return new FeedbackFactor(size, rows);
    }

    /// <summary>
    /// The same for columns that are rounded together, <paramref name="group"/> at a time: H = M D M' with D in blocks, M having the
    /// identity in their place. The columns of each group are multiplied by the inverse of their own block of M.
    /// </summary>
    /// <param name="group">Columns of a group; the tile is a multiple.</param>
    /// <param name="parallel">Threads and cancellation.</param>
    public FeedbackFactor Grouped(int group, ParallelOptions parallel)
    {
        float[] rows = new float[Rows.Length];
        Parallel.For(0, Size / group, parallel, g =>
        {
            double[] sum = new double[Size];
            double[] weights = new double[group];
            int first = g * group;
            for (int k = 0; k < group; k++)
            {
                // Column k of the inverse of a unit upper triangular block, by back substitution.
                Array.Clear(weights);
                weights[k] = 1;
                for (int i = k - 1; i >= 0; i--)
                {
                    for (int j = i + 1; j <= k; j++) weights[i] -= Rows[((long)(first + j) * Size) + first + i] * weights[j];
                }

                Array.Clear(sum);
                for (int i = 0; i <= k; i++)
                {
                    ReadOnlySpan<float> row = Rows.AsSpan((first + i) * Size, first);
                    for (int j = 0; j < row.Length; j++) sum[j] += weights[i] * row[j];
                }

                for (int j = 0; j < first; j++) rows[((long)(first + k) * Size) + j] = (float)sum[j];
            }
        });
        return new FeedbackFactor(Size, rows);
    }

    // T H T' with rows and columns in reverse order, upper triangle: the usual Cholesky factor of the reversed matrix is M sqrt(D), reversed and transposed.
    private static double[] Transformed(SecondMoment moment, bool centered, TileTransform transform, int tile, int tiles, ParallelOptions parallel)
    {
        int size = tiles * tile, features = moment.Features;
        double[] matrix = new double[checked(size * size)], mean = moment.Mean();
        double scale = 1.0 / Math.Max(1, moment.Tokens);
        Parallel.For(
            0,
            tiles * tiles,
            parallel,
            () => (Transformer: new TileTransformer(transform, tile), Block: new double[tile * tile]),
            (t, _, scratch) =>
            {
                (int top, int left) = (t / tiles * tile, t % tiles * tile);
                if (left < top) return scratch;
                double[] block = scratch.Block;
                for (int e = 0; e < block.Length; e++)
                {
                    (int i, int j) = (top + e / tile, left + e % tile);
                    block[e] = i < features && j < features ? (moment[i, j] * scale) - (centered ? mean[i] * mean[j] : 0) : 0;
                }

                scratch.Transformer.Forward(block, block);
                for (int e = 0; e < block.Length; e++)
                {
                    (int i, int j) = (top + e / tile, left + e % tile);
                    if (i <= j) matrix[(long)(size - 1 - j) * size + size - 1 - i] = block[e];
                }

                return scratch;
            },
            static _ => { });
        return matrix;
    }
}
