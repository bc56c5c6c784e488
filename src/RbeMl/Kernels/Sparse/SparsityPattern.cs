using RbeMl.Codec;

namespace RbeMl.Kernels;

/// <summary>The places of a matrix's sparse coefficients in the form the kernels walk: by output row, and transposed over the same values.</summary>
internal sealed class SparsityPattern : IDisposable
{
    /// <summary>Builds the walk orders of a support.</summary>
    /// <param name="support">The places.</param>
    /// <param name="tileRows">Tiles along the output.</param>
    /// <param name="tileColumns">Tiles along the input.</param>
    /// <exception cref="ShapeMismatchException">The support is of another number of tiles.</exception>
    public SparsityPattern(CoefficientSupport support, int tileRows, int tileColumns)
    {
        ArgumentNullException.ThrowIfNull(support);
        if ((long)tileRows * tileColumns != support.TileCount)
        {
            throw new ShapeMismatchException("sparse pattern", $"{support.TileCount} tiles", $"{tileRows} x {tileColumns}",
                "Give the tile grid of the matrix the support is of.");
        }

        Support = support;
        TileRows = tileRows;
        TileColumns = tileColumns;
        if (support.RunLength == 1)
        {
            Rows = new SparsePositionOrder(support, byColumn: false);
            Columns = new SparsePositionOrder(support, byColumn: true);
            NativeBytes = Rows.Bytes + Columns.Bytes;
        }
        else
        {
            Runs = new SparseRunOrder(support, tileRows, tileColumns);
            NativeBytes = Runs.Bytes;
        }
    }

    /// <summary>The places.</summary>
    public CoefficientSupport Support { get; }

    /// <summary>Tiles along the output.</summary>
    public int TileRows { get; }

    /// <summary>Tiles along the input.</summary>
    public int TileColumns { get; }

    /// <summary>Bytes of all the indices the kernels read: the walk orders, and the places where they are runs.</summary>
    public long IndexBytes => NativeBytes + (Runs is null ? 0 : (long)Support.Starts.Length * sizeof(ushort));

    /// <summary>Those in native memory: the walk orders.</summary>
    internal long NativeBytes { get; }

    /// <summary>Order of runs, or null when places are single.</summary>
    internal SparseRunOrder? Runs { get; }

    /// <summary>Single places by row, or null when places are runs.</summary>
    internal SparsePositionOrder? Rows { get; }

    /// <summary>Single places by column, or null when places are runs.</summary>
    internal SparsePositionOrder? Columns { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        Runs?.Dispose();
        Rows?.Dispose();
        Columns?.Dispose();
    }
}
