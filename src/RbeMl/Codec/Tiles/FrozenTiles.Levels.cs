using System.Runtime.CompilerServices;

namespace RbeMl.Codec;

/// <content>Decoding to integers: coefficient = scale * (level - 128), a byte a level, for products in int8.</content>
public abstract unsafe partial class FrozenTiles
{
    /// <summary>What is added to a signed level, so that it is an unsigned byte.</summary>
    internal const int LevelOffset = 128;

    /// <summary>Largest size of a level that is rounded to an integer.</summary>
    private protected const int LargestLevel = 127;

    /// <summary>
    /// Levels <c>[B * B]</c> of one tile row-major, those of outliers zero (128), and scales <c>[B][B / 64]</c>, one a row with tiles up to
    /// 64.
    /// </summary>
    internal void DecodeLevels(int tileIndex, byte* levels, float* scales)
    {
        Levels(tileIndex, levels);
        FinishLevels(tileIndex, levels, scales);
    }

    /// <summary>The definition, code by code: what the vector paths are checked against.</summary>
    internal void DecodeLevelsScalar(int tileIndex, byte* levels, float* scales)
    {
        LevelsScalar(tileIndex, levels);
        FinishLevels(tileIndex, levels, scales);
    }

    /// <summary>Levels without regard to outliers.</summary>
    private protected abstract void Levels(int tileIndex, byte* levels);

    /// <summary>The same, code by code.</summary>
    private protected abstract void LevelsScalar(int tileIndex, byte* levels);

    /// <summary>Scales of the rows' segments.</summary>
    private protected abstract void LevelScales(int tileIndex, float* scales);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void FinishLevels(int tileIndex, byte* levels, float* scales)
    {
        LevelScales(tileIndex, scales);
        if (Outliers is { } outliers)
        {
            for (int e = tileIndex * outliers.PerTile; e < (tileIndex + 1) * outliers.PerTile; e++) levels[outliers.Places[e]] = LevelOffset;
        }

        GC.KeepAlive(this); // and with it the mapping that codes may lie in
    }
}
