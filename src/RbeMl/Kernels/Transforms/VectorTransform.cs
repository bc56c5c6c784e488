using System.Collections.Concurrent;
using RbeMl.Codec;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// The transform of a single token's blocks as a product with its matrix: x^ = S' x and y = S y^. With one token there are no lanes to share the
/// steps of a fast transform, and a matrix of 64 x 64 stays in the nearest cache.
/// </summary>
internal sealed unsafe class VectorTransform
{
    private static readonly ConcurrentDictionary<(TileTransform, int), VectorTransform> s_cache = new();
    private readonly int _size;
    private readonly NativeBuffer<float>? _forward;
    private readonly NativeBuffer<float>? _inverse;

    private VectorTransform(TileTransform transform, int size)
    {
        _size = size;
        if (transform == TileTransform.None) return;
        double[] s = TransformMatrix.Synthesis(transform, size);
        (_forward, _inverse) = (new NativeBuffer<float>(s.Length), new NativeBuffer<float>(s.Length));
        for (int i = 0; i < size; i++)
        {
            for (int u = 0; u < size; u++) _forward.Pointer[(i * size) + u] = _inverse.Pointer[(u * size) + i] = (float)s[(i * size) + u];
        }
    }

    /// <summary>The one of a transform and tile.</summary>
    public static VectorTransform Get(TileTransform transform, int size) => s_cache.GetOrAdd((transform, size), static key => new(key.Item1, key.Item2));

    /// <summary>Blocks of x -> blocks of x^, which are others.</summary>
    public void Forward(float* x, float* coefficients, int blocks) => Run(_forward, x, coefficients, blocks);

    /// <summary>Blocks of y^ -> blocks of y, which are others.</summary>
    public void Inverse(float* coefficients, float* y, int blocks) => Run(_inverse, coefficients, y, blocks);

    private void Run(NativeBuffer<float>? matrix, float* from, float* to, int blocks)
    {
        if (matrix is null)
        {
            new Span<float>(from, blocks * _size).CopyTo(new Span<float>(to, blocks * _size));
            return;
        }

        for (int b = 0; b < blocks; b++) VectorKernel.Transform(matrix.Pointer, from + ((long)b * _size), to + ((long)b * _size), _size, _size);
    }
}
