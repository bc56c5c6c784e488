using System.Collections.Immutable;
using RbeMl.Storage;

namespace RbeMl.Codec;

/// <summary>Takes the tensors of a matrix's frozen tiles, to store them.</summary>
internal interface IPartWriter
{
    /// <summary>Takes a tensor of numbers.</summary>
    /// <param name="part">Its name within the matrix.</param>
    /// <param name="values">Elements, row-major.</param>
    /// <param name="shape">Sides.</param>
    void Write<T>(string part, ImmutableArray<T> values, params long[] shape)
        where T : unmanaged;

    /// <summary>Takes a tensor of bytes, which may lie in a mapped file.</summary>
    /// <param name="part">Its name within the matrix.</param>
    /// <param name="bytes">The bytes.</param>
    /// <param name="shape">Sides.</param>
    void Write(string part, ReadOnlyMemory<byte> bytes, params long[] shape);
}

/// <summary>Gives the stored tensors of a matrix's frozen tiles; what is missing, of another shape or damaged is its error.</summary>
internal interface IPartReader
{
    /// <summary>Tile edge B.</summary>
    int Tile { get; }

    /// <summary>Tiles.</summary>
    int TileCount { get; }

    /// <summary>The metadata of the matrix.</summary>
    JsonFields Fields { get; }

    /// <summary>A tensor of numbers.</summary>
    /// <param name="part">Its name within the matrix.</param>
    /// <param name="shape">Sides.</param>
    T[] Read<T>(string part, params long[] shape)
        where T : unmanaged;

    /// <summary>A tensor of bytes, which may lie in a mapped file.</summary>
    /// <param name="part">Its name within the matrix.</param>
    /// <param name="shape">Sides.</param>
    ReadOnlyMemory<byte> ReadBytes(string part, params long[] shape);

    /// <summary>The tensor <c>scales</c>, <c>[tiles, perTile]</c>: finite and not negative.</summary>
    Half[] Scales(int perTile);

    /// <summary>The coefficients kept exactly, or null.</summary>
    TileOutliers? Outliers();
}
