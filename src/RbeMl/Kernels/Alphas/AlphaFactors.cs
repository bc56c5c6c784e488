using System.Numerics;
using RbeMl.Codec;
using RbeMl.Memory;

namespace RbeMl.Kernels;

/// <summary>The 1-D factors of the basis functions in a transform's domain, ready for the kernels: <c>[12][tile]</c>.</summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class AlphaFactors<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly NativeBuffer<T> _factors;

    /// <summary>Converts the factors of <see cref="BasisFunctions"/>.</summary>
    public AlphaFactors(TileTransform transform, int tile)
    {
        BasisFunctions basis = BasisFunctions.Get(transform, tile);
        Tile = tile;
        _factors = new NativeBuffer<T>(BasisFunctions.FactorCount * tile);
        for (int f = 0; f < BasisFunctions.FactorCount; f++)
        {
            for (int u = 0; u < tile; u++) _factors.Pointer[f * tile + u] = T.CreateTruncating(basis.TransformedFactors[f][u]);
        }

        Signs = [.. basis.DistanceSigns.Select(T.CreateTruncating)];
        if (typeof(T) == typeof(float)) Lists = new AlphaFactorLists(basis);
    }

    /// <summary>Tile edge.</summary>
    public int Tile { get; }

    /// <summary><c>[12][tile]</c>.</summary>
    public T* Pointer => _factors.Pointer;

    /// <summary>Bytes of native memory held.</summary>
    internal long AllocatedBytes => _factors.AllocatedBytes + (Lists?.AllocatedBytes ?? 0);

    /// <summary>Signs of the eigenvalues of d.</summary>
    public T[] Signs { get; }

    /// <summary>The factors without their zeros, for the float kernels; null for other types.</summary>
    internal AlphaFactorLists? Lists { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        _factors.Dispose();
        Lists?.Dispose();
    }
}
