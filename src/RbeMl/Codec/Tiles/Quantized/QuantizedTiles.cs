using System.Collections.Immutable;
using System.Runtime.CompilerServices;

namespace RbeMl.Codec;

/// <summary>
/// The frozen base of a matrix: all B² coefficients of every tile at <see cref="FrozenTiles.Bits"/> bits, in groups of 64 consecutive
/// coefficients (row-major in the tile) that share an fp16 scale. value = scale * Levels[code].
/// </summary>
internal sealed unsafe class QuantizedTiles : FrozenTiles
{
    /// <summary>Consecutive coefficients (along a coefficient row) that share a scale.</summary>
    public const int GroupSize = 64;

    /// <summary>Fewest bits of a code.</summary>
    public const int LeastBits = 2;

    /// <summary>Numbers of bits: 2 .. 8.</summary>
    public const int BitChoices = 7;

    /// <summary>Creates a base from its parts.</summary>
    /// <param name="tile">B.</param>
    /// <param name="tileCount">Tiles, row-major.</param>
    /// <param name="bits">2 .. 8.</param>
    /// <param name="scales"><c>[tile][B² / 64]</c>.</param>
    /// <param name="codes">Packed codes: tile t starts at byte t * B² * bits / 8; code e of a tile occupies bits [e * bits, (e + 1) *
    /// bits), least significant bit first.</param>
    /// <param name="outliers">Coefficients kept exactly, or null.</param>
    /// <exception cref="InvalidSettingException">Tile or bits are out of range.</exception>
    /// <exception cref="ShapeMismatchException">The parts do not have these lengths.</exception>
    public QuantizedTiles(int tile, int tileCount, int bits, ReadOnlySpan<Half> scales, ReadOnlyMemory<byte> codes, TileOutliers? outliers = null)
        : base(tile, tileCount, bits, codes, outliers)
    {
        if (bits is < LeastBits or > 8) throw new InvalidSettingException("bits", bits, "use 2 .. 8.");
        long groups = (long)tileCount * (tile * tile / GroupSize), bytes = (long)tileCount * (tile * tile * bits / 8);
        if (scales.Length != groups) throw new ShapeMismatchException("scales", $"{groups}", $"{scales.Length}", "Give one for each group of 64 coefficients.");
        if (codes.Length != bytes)
        {
            throw new ShapeMismatchException("packed codes", $"{Amount.Of(bytes, "byte")}", $"{codes.Length}", "Pack all tiles without gaps.");
        }

        Scales = [.. scales];
    }

    /// <summary><c>[tile][B² / 64]</c>.</summary>
    internal override ImmutableArray<Half> Scales { get; }

    /// <inheritdoc/>
    internal override bool HasNarrowLevels => QuantizedLevels.AreNarrow(Bits);

    /// <inheritdoc/>
    public override long StoredBits => (8L * Codes.Length) + (16L * Scales.Length) + (Outliers?.StoredBits ?? 0);

    /// <summary>
    /// The level of every code, <c>[2^bits]</c>, ascending, for groups of unit variance: Lloyd-Max levels of a unit Gaussian for 2 .. 5 bits,
    /// (code - 2^(bits - 1)) / 2^(bits - 3) for 6 .. 8 bits. value = scale * level[code]. Do not write to it.
    /// </summary>
    /// <exception cref="InvalidSettingException">Bits are not 2 .. 8.</exception>
    public static float[] LevelsFor(int bits) =>
        bits is < LeastBits or > 8 ? throw new InvalidSettingException("bits", bits, "use 2 .. 8.") : QuantizerLevels.For(bits);

    /// <inheritdoc/>
    internal override void WriteParts(IPartWriter parts)
    {
        parts.Write("scales", Scales, TileCount, Scales.Length / TileCount);
        parts.Write("codes", Codes, TileCount, Codes.Length / TileCount);
        base.WriteParts(parts);
    }

    /// <inheritdoc/>
    internal override FrozenTiles WithScales(ReadOnlySpan<Half> scales) => new QuantizedTiles(Tile, TileCount, Bits, scales, Codes, Outliers);

    /// <inheritdoc/>
    internal override void Decode(int tileIndex, Span<float> coefficients) => QuantizedDecoder.Decode(this, tileIndex, coefficients);

    /// <inheritdoc/>
    private protected override void Levels(int tileIndex, byte* levels) => QuantizedLevels.Levels(this, tileIndex, levels);

    /// <inheritdoc/>
    private protected override void LevelsScalar(int tileIndex, byte* levels) => QuantizedLevels.LevelsScalar(this, tileIndex, levels);

    /// <inheritdoc/>
    private protected override void LevelScales(int tileIndex, float* scales) => QuantizedLevels.Scales(this, tileIndex, scales);

    /// <inheritdoc/>
    private protected override bool Product(int firstTile, int count, float* x, float* y, float* scratch) =>
        QuantizedProducts.Product(this, firstTile, count, x, y, scratch);

    /// <summary>
    /// A non-negative finite fp16 as fp32: exponent and mantissa moved into place, the bias made up by 2^112. Exact, subnormals included, and
    /// free of the branches of the general conversion.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static float ToSingle(Half scale) => BitConverter.UInt32BitsToSingle((uint)BitConverter.HalfToUInt16Bits(scale) << 13) * 5.192296858534828e33f;
}
