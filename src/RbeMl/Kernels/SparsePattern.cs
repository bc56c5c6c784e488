using RbeMl.Codec;

namespace RbeMl.Kernels;

/// <summary>The places of a matrix's sparse coefficients in the form the kernels walk: by output row, and transposed over the same values.</summary>
public sealed class SparsePattern
{
    /// <summary>Builds the walk orders of a support.</summary>
    public SparsePattern(CoefficientSupport support, int tileRows, int tileColumns)
    {
        ArgumentNullException.ThrowIfNull(support);
        Support = support;
        TileRows = tileRows;
        TileColumns = tileColumns;
    }

    /// <summary>The places.</summary>
    public CoefficientSupport Support { get; }

    /// <summary>Tiles along the output.</summary>
    public int TileRows { get; }

    /// <summary>Tiles along the input.</summary>
    public int TileColumns { get; }
}
