namespace RbeMl.Codec;

/// <summary>
/// Codes one tile after another, and says what codes decode to while a tile is fitted. Holds scratch, so every thread needs its own.
/// </summary>
internal abstract class TileCoder
{
    /// <summary>Codes a tile.</summary>
    /// <param name="values"><c>[B²]</c> coefficients; overwritten or not.</param>
    /// <param name="scales">Scales of the tile, written.</param>
    /// <param name="codes"><c>[B²]</c>, a code a byte, written.</param>
    public abstract void Encode(Span<float> values, Span<Half> scales, Span<byte> codes);

    /// <summary>What the codes of a tile decode to.</summary>
    /// <param name="scales">Scales of the tile.</param>
    /// <param name="codes"><c>[B²]</c>.</param>
    /// <param name="image"><c>[B²]</c>, written.</param>
    public abstract void Decode(ReadOnlySpan<Half> scales, ReadOnlySpan<byte> codes, Span<double> image);
}
