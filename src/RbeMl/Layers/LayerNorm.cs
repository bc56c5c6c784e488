using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Numerics;

namespace RbeMl.Layers;

/// <summary>
/// y = (x - mean) / sqrt(var + eps) * gamma + beta over the features of a token. The normalised panel is written block by block straight
/// into the next layer's transform (fused), or whole first (unfused); both give the same bits.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
public sealed unsafe class LayerNorm<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly T _epsilon;

    /// <summary>Adds gamma and beta, given as their D values or as the terms of that storage, to the parameters.</summary>
    /// <exception cref="ShapeMismatchException">Gamma and beta differ in length.</exception>
    internal LayerNorm(ParameterVector<T> parameters, string name, TransformerConfig config, float[] gamma, float[] beta, LayerNormStorage given)
    {
        if (gamma.Length != beta.Length)
        {
            throw new ShapeMismatchException($"{name}.beta", $"{gamma.Length} values like gamma", $"{beta.Length}", "Give both one value a feature.");
        }

        Features = config.Width;
        Gamma = Vector("gamma", gamma);
        Beta = Vector("beta", beta);
        _epsilon = T.CreateTruncating(config.LayerNormEpsilon);

        VectorParameter<T> Vector(string part, float[] values) =>
            new(parameters, $"{name}.{part}", config.LayerNorm, NormTerms.Of($"{name}.{part}", config.LayerNorm, values, given), config.Width);
    }

    /// <summary>D.</summary>
    public int Features { get; }

    /// <summary>Scale.</summary>
    internal VectorParameter<T> Gamma { get; }

    /// <summary>Shift.</summary>
    internal VectorParameter<T> Beta { get; }

    /// <summary>Bytes of native memory beside the values.</summary>
    internal long NativeBytes => Gamma.NativeBytes + Beta.NativeBytes;

    /// <summary>Statistics of a chunk: mean and 1 / deviation of every lane.</summary>
    internal void Statistics(T* x, T* mean, T* rstd, int width) => LayerNormKernel.Statistics(x, mean, rstd, Features, width, _epsilon);

    /// <summary>
    /// Normalises feature rows [first, first + rows) of a chunk into a block of <paramref name="blockRows"/> rows; rows beyond D become
    /// zero.
    /// </summary>
    internal void ApplyBlock(T* x, T* mean, T* rstd, T* gamma, T* beta, int first, int blockRows, T* block, int width)
    {
        int rows = Math.Clamp(Features - first, 0, blockRows);
        LayerNormKernel.Apply(x + (long)first * width, mean, rstd, gamma + first, beta + first, block, rows, width);
        new Span<T>(block + (long)rows * width, (blockRows - rows) * width).Clear();
    }

    /// <summary>y = the normalised vector x [D], for float; gamma and beta are decoded. y may be x.</summary>
    internal void ApplyVector(T* x, T* gamma, T* beta, T* y) =>
        VectorKernel.Normalize((float*)x, (float*)gamma, (float*)beta, (float*)y, Features, float.CreateTruncating(_epsilon));

    /// <summary>dx += input gradient of a chunk; the chunk's gamma and beta sums are overwritten.</summary>
    internal void Backward(T* x, T* mean, T* rstd, T* gamma, T* dy, T* dx, T* dgamma, T* dbeta, int width) =>
        LayerNormKernel.Backward(x, mean, rstd, gamma, dy, dx, dgamma, dbeta, Features, width);
}

/// <summary>What one LayerNorm works with at a chunk: its decoded vectors [Dp], mean and 1 / deviation of the chunk's lanes.</summary>
/// <typeparam name="T">Element type.</typeparam>
internal readonly unsafe struct NormPlace<T>(T* gamma, T* beta, T* mean, T* rstd)
    where T : unmanaged
{
    public readonly T* Gamma = gamma, Beta = beta, Mean = mean, Rstd = rstd;
}
