using RbeMl.Layers;

namespace RbeMl.Compression;

/// <summary>One value for each of the six matrices of a block.</summary>
/// <typeparam name="T">Type of the values.</typeparam>
public sealed class PerMatrix<T>
{
    private readonly T[] _values;

    /// <summary>Asks for each value, in the order of <see cref="BlockMatrix"/>.</summary>
    public PerMatrix(Func<BlockMatrix, T> valueOf)
    {
        ArgumentNullException.ThrowIfNull(valueOf);
        _values = [.. PerMatrix.All.Select(valueOf)];
    }

    /// <summary>The same value for all.</summary>
    public PerMatrix(T value)
        : this(_ => value)
    {
    }

    /// <summary>The value of a matrix.</summary>
    public T this[BlockMatrix matrix] => _values[(int)matrix];

    /// <summary>The six values, in the order of <see cref="BlockMatrix"/>.</summary>
    public IReadOnlyList<T> Values => _values;

    /// <summary>The values with one of them replaced.</summary>
    public PerMatrix<T> With(BlockMatrix matrix, T value) => new(m => m == matrix ? value : this[m]);
}

/// <summary>The six matrices: names, weights, shapes, biases.</summary>
public static class PerMatrix
{
    /// <summary>All six, in order.</summary>
    public static IReadOnlyList<BlockMatrix> All { get; } = Enum.GetValues<BlockMatrix>();

    /// <summary>The name of a matrix within its block.</summary>
    internal static string NameOf(BlockMatrix matrix) => BlockLayout.NameOf(matrix);

    /// <summary>Dense values of a matrix, [out, in].</summary>
    public static float[] WeightsOf(DenseBlockWeights dense, BlockMatrix matrix)
    {
        ArgumentNullException.ThrowIfNull(dense);
        return dense.MatrixAt(matrix);
    }

    /// <summary>Outputs and inputs of a matrix.</summary>
    public static (int Rows, int Columns) ShapeOf(TransformerConfig config, BlockMatrix matrix)
    {
        ArgumentNullException.ThrowIfNull(config);
        return BlockLayout.ShapeOf(config, matrix);
    }

    /// <summary>The vectors with a correction added to each bias; a bias that is not there is made.</summary>
    public static BlockVectors AddToBiases(BlockVectors vectors, PerMatrix<float[]> corrections)
    {
        ArgumentNullException.ThrowIfNull(vectors);
        ArgumentNullException.ThrowIfNull(corrections);
        return vectors with
        {
            QueryBias = Sum(vectors.QueryBias, corrections[BlockMatrix.Query]),
            KeyBias = Sum(vectors.KeyBias, corrections[BlockMatrix.Key]),
            ValueBias = Sum(vectors.ValueBias, corrections[BlockMatrix.Value]),
            OutputBias = Sum(vectors.OutputBias, corrections[BlockMatrix.Output]),
            UpProjectionBias = Sum(vectors.UpProjectionBias, corrections[BlockMatrix.UpProjection]),
            DownProjectionBias = Sum(vectors.DownProjectionBias, corrections[BlockMatrix.DownProjection]),
        };
    }

    private static float[] Sum(float[] bias, float[] correction) => bias.Length == 0 ? correction : [.. bias.Zip(correction, (b, c) => b + c)];
}
