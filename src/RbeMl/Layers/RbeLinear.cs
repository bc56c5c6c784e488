using System.Numerics;
using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Layers;

/// <summary>
/// y = W x + b with a compressed W, computed in the coefficient domain: x^ = S' x block by block, y^ = C x^ tile by tile (sparse coefficients,
/// quantised base and alphas add up), y = S y^ + b. Backward: g^ = S' g, dx = S C' g^, dC = g^ x^' at the kept places only.
/// Methods work on one chunk of a panel; callers run chunks (forward, input gradient) or tile rows (weight gradient) in parallel.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
public sealed unsafe partial class RbeLinear<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly ParameterVector<T> _parameters;
    private readonly SparsityPattern? _pattern;
    private readonly FrozenTiles? _base;
    private readonly AlphaFactors<T>? _factors;
    private readonly RbeStructure _matrix; // never the matrix: its values are the parameters' now, and would be kept twice

    /// <summary>Adds a compressed matrix and its bias to the parameters.</summary>
    /// <param name="parameters">The vector to add to.</param>
    /// <param name="name">Name of the layer.</param>
    /// <param name="matrix">The weights, [out, in].</param>
    /// <param name="bias">[out], or empty for none.</param>
    public RbeLinear(ParameterVector<T> parameters, string name, RbeMatrix matrix, float[] bias)
        : this(parameters, name, matrix, bias, isTable: false)
    {
    }

    /// <summary>The same, or a table whose rows are looked up.</summary>
    internal RbeLinear(ParameterVector<T> parameters, string name, RbeMatrix matrix, float[] bias, bool isTable)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentNullException.ThrowIfNull(matrix);
        if (bias.Length != 0 && bias.Length != matrix.Rows)
        {
            throw new ShapeMismatchException($"{name}.bias", $"{matrix.Rows} values", $"{bias.Length}", "Give one a row of the weights, or none.");
        }

        _parameters = parameters;
        _matrix = RbeStructure.Of(matrix);
        Name = name;
        _base = matrix.Base;
        if (_base is not null) parameters.Own(_base); // its codes may lie in a mapped file, which a collection would unmap
        // A kept coefficient stands for B² / K of them, so it is sqrt(B² / K) times as large as a weight. A basis function has the norm B where a
        // coefficient's has 1: with a B times smaller rate a step of either moves the tile as far.
        double scale = matrix.Support is null ? 1 : Math.Sqrt((double)matrix.Tile * matrix.Tile / matrix.Support.CoefficientsPerTile);
        if (matrix.HasAlphas)
        {
            _factors = new AlphaFactors<T>(matrix.Transform, matrix.Tile);
            parameters.Own(_factors);
            Alphas = parameters.Add($"{name}.alphas", ParameterKind.Alpha, matrix.Alphas, scale / matrix.Tile,
                BasisFunctions.Get(matrix.Transform, matrix.Tile).Gram);
        }

        if (matrix.Support is { } support)
        {
            _pattern = new SparsityPattern(support, matrix.TileRows, matrix.TileColumns);
            parameters.Own(_pattern);
            Coefficients = parameters.Add($"{name}.coefficients", ParameterKind.Coefficient, matrix.Coefficients, scale, null, isTable ? null : _matrix);
        }

        if (bias.Length != 0) Bias = parameters.Add($"{name}.bias", ParameterKind.Bias, bias);
    }

    /// <summary>Name of the layer.</summary>
    public string Name { get; }

    /// <summary>Output features.</summary>
    public int Outputs => _matrix.Rows;

    /// <summary>Input features.</summary>
    public int Inputs => _matrix.Columns;

    /// <summary>Tile edge B.</summary>
    public int Tile => _matrix.Tile;

    /// <summary>Tiles along the output.</summary>
    public int TileRows => _matrix.TileRows;

    /// <summary>Tiles along the input.</summary>
    public int TileColumns => _matrix.TileColumns;

    /// <summary>Alphas among the parameters, or null.</summary>
    public ParameterSlice? Alphas { get; }

    /// <summary>Coefficients among the parameters, or null.</summary>
    public ParameterSlice? Coefficients { get; }

    /// <summary>Bias among the parameters, or null.</summary>
    public ParameterSlice? Bias { get; }

    /// <summary>Bytes in memory beside the parameters: places and the kernels' walk orders, tables, the frozen base, copies for inference.</summary>
    public long FixedBytes => NativeBytes + ((long)(_matrix.Support?.Starts.Length ?? 0) * sizeof(ushort)) + (_base?.ResidentBytes ?? 0);

    /// <summary>Those in native memory.</summary>
    internal long NativeBytes => (_pattern?.NativeBytes ?? 0) + (_factors?.AllocatedBytes ?? 0) + (_packed?.Bytes ?? 0);

    /// <summary>Rows of a moment panel of the input: 12 a tile column, 0 without alphas.</summary>
    public int InputMomentRows => _factors is null ? 0 : TileColumns * BasisFunctions.FactorCount;

    /// <summary>Scratch elements that a chunk's methods take at most.</summary>
    public long ScratchElements => ScratchElementsOf(1);

    /// <summary>What reads single rows of the matrix. Ask once: it holds memory until the parameters are freed.</summary>
    internal MatrixRows<T> Rows() => new(_parameters, this, _matrix, _factors);

    /// <summary>The weights with the current values of the parameters.</summary>
    public RbeMatrix ToMatrix() =>
        _matrix.With(Alphas is null ? [] : _parameters.ToFloats(Alphas), Coefficients is null ? [] : _parameters.ToFloats(Coefficients));

    /// <summary>The current bias; empty without one.</summary>
    public float[] BiasValues() => Bias is null ? [] : _parameters.ToFloats(Bias);

    /// <summary>blocks of x -> blocks of x^; rows of x beyond the features must be zero. x^ may be x.</summary>
    internal void TransformBlocks(int blocks, T* x, T* xCoefficients, int width)
    {
        long stride = (long)Tile * width;
        for (int b = 0; b < blocks; b++) BlockTransform.Forward(_matrix.Transform, Tile, x + b * stride, xCoefficients + b * stride, width);
    }

    /// <summary>Moments of blocks in the coefficient domain, <c>[12 a block][width]</c>; nothing without alphas.</summary>
    internal void Moments(int blocks, T* coefficients, T* moments, int width)
    {
        if (_factors is null) return;
        for (int b = 0; b < blocks; b++)
        {
            AlphaKernel.Moments(_factors, coefficients + (long)b * Tile * width, moments + (long)b * BasisFunctions.FactorCount * width, width);
        }
    }

    /// <summary>Moments of an input that several matrices share, of one tile and transform, if one of them has alphas.</summary>
    internal static void MomentsOf(RbeLinear<T>[] linears, T* coefficients, T* moments, int width)
    {
        if (Array.Find(linears, linear => linear._factors is not null) is { } reader) reader.Moments(reader.TileColumns, coefficients, moments, width);
    }

    /// <summary>
    /// yCoefficients += C(tileRow, first .. last) xCoefficients and, for alphas, s += the mixed moments. xCoefficients and moments point at
    /// block <paramref name="first"/>.
    /// </summary>
    internal void AccumulateRow(int tileRow, int first, int last, T* xCoefficients, T* moments, T* yCoefficients, T* s, int width, ScratchArea<T> scratch) =>
        AccumulateRow(tileRow, first, last, One(xCoefficients, moments, width), new ChunkPointers<T>(yCoefficients, 0), new ChunkPointers<T>(s, 0), scratch);

    /// <summary>y = T'(yCoefficients + expanded moments) + bias for one tile row; rows beyond the outputs become zero. y may be yCoefficients.</summary>
    internal void FinishRow(int tileRow, T* yCoefficients, T* s, T* y, int width)
    {
        if (_factors is not null) AlphaKernel.Expand(_factors, s, yCoefficients, width);
        BlockTransform.Inverse(_matrix.Transform, Tile, yCoefficients, y, width);
        int rows = Math.Min(Tile, Outputs - tileRow * Tile);
        if (Bias is not null) Elementwise.AddBias(y, _parameters.At(Bias) + tileRow * Tile, rows, width);
        ClearRows(y, rows, width);
    }

    /// <summary>y block of one tile row from all of x^ and its moments.</summary>
    internal void ForwardRow(int tileRow, T* xCoefficients, T* moments, T* y, int width, ScratchArea<T> scratch) =>
        ForwardRow(tileRow, One(xCoefficients, moments, width), new ChunkPointers<T>(y, 0), scratch);

    /// <summary>dxCoefficients += C(.., tileColumn)' gCoefficients, alphas included; gMoments are the moments of gCoefficients.</summary>
    internal void AccumulateColumn(int tileColumn, T* gCoefficients, T* gMoments, T* dxCoefficients, int width, ScratchArea<T> scratch)
    {
        if (_pattern is not null)
        {
            SparseKernel.MultiplyTransposed(_pattern, _parameters.At(Coefficients!), tileColumn, 0, TileRows, gCoefficients, dxCoefficients, width);
        }

        if (_base is not null)
        {
            QuantizedKernel.MultiplyTransposed(_base, TileColumns, tileColumn, 0, TileRows, gCoefficients, dxCoefficients, width,
                scratch.Take((long)Tile * Tile));
        }

        if (_factors is null) return;
        T* m = scratch.Take((long)BasisFunctions.FactorCount * width);
        new Span<T>(m, BasisFunctions.FactorCount * width).Clear();
        T* alphas = _parameters.At(Alphas!) + ((long)tileColumn * BasisFunctions.Count);
        AlphaKernel.MixTiles(_factors, alphas, (long)TileColumns * BasisFunctions.Count, gMoments, TileRows, transposed: true, m, width);
        AlphaKernel.Expand(_factors, m, dxCoefficients, width);
    }

    /// <summary>dx = S dxCoefficients for one tile column; rows beyond the inputs become zero. dx may be dxCoefficients.</summary>
    internal void FinishColumn(int tileColumn, T* dxCoefficients, T* dx, int width)
    {
        BlockTransform.Inverse(_matrix.Transform, Tile, dxCoefficients, dx, width);
        ClearRows(dx, Math.Min(Tile, Inputs - tileColumn * Tile), width);
    }

    /// <summary>Transform and moments of input blocks, each block's while it is in the nearest cache. x^ may be x.</summary>
    internal void TransformInput(int blocks, T* x, T* xCoefficients, T* moments, int width)
    {
        long stride = (long)Tile * width;
        for (int b = 0; b < blocks; b++, x += stride, xCoefficients += stride, moments += BasisFunctions.FactorCount * width)
        {
            TransformBlocks(1, x, xCoefficients, width);
            Moments(1, xCoefficients, moments, width);
        }
    }

    /// <summary>
    /// Sums over lanes (the chunk's part of the bias gradient), transform and moments of the output gradient's blocks of some tile rows. Pointers are to the
    /// first of these rows' values; rows beyond the outputs have no sum. g^ may be g.
    /// </summary>
    internal void TransformGradient(int firstRow, int rows, T* g, T* gCoefficients, T* moments, T* biasSums, int width)
    {
        long stride = (long)Tile * width;
        for (int b = 0; b < rows; b++)
        {
            if (Bias is not null) Elementwise.RowSums(g + b * stride, Math.Min(Tile, Outputs - (firstRow + b) * Tile), width, biasSums + (long)b * Tile);
            TransformInput(1, g + b * stride, gCoefficients + b * stride, moments + (long)b * BasisFunctions.FactorCount * width, width);
        }
    }

    /// <summary>
    /// Adds the gradients of the coefficients and alphas of one tile row, over all chunks in order, a group of chunks
    /// (<see cref="ChunkBatch"/>) after the other. Panels: x^ and its moments, g^ and its moments. Moment panels are not read without alphas.
    /// </summary>
    internal void GradientRow(
        int tileRow, Panel<T> xCoefficients, Panel<T> xMoments, int xMomentFirstRow, Panel<T> gCoefficients, int gFirstRow, Panel<T> gMoments,
        int gMomentFirstRow, int group, ParameterVector<T> gradients)
    {
        int lanes = xCoefficients.Lanes;
        bool coefficients = Wanted(Coefficients, gradients), alphas = Wanted(Alphas, gradients);
        for (int chunk = 0; chunk < xCoefficients.Chunks && (coefficients || alphas); chunk += group)
        {
            int chunks = Math.Min(group, xCoefficients.Chunks - chunk);
            if (coefficients)
            {
                SparseKernel.Gradient(
                    _pattern!, tileRow, xCoefficients.Chunk(chunk), xCoefficients.ChunkStride,
                    gCoefficients.Chunk(chunk) + (long)gFirstRow * lanes, gCoefficients.ChunkStride, chunks, lanes, gradients.At(Coefficients!));
            }

            if (!alphas) continue;
            AlphaKernel.GradientTiles(
                _factors!, xMoments.Chunk(chunk) + (long)xMomentFirstRow * lanes, xMoments.ChunkStride,
                gMoments.Chunk(chunk) + ((long)gMomentFirstRow + tileRow * BasisFunctions.FactorCount) * lanes, gMoments.ChunkStride,
                chunks, TileColumns, gradients.At(Alphas!) + (long)tileRow * TileColumns * BasisFunctions.Count, lanes);
        }
    }

    /// <summary>The same from panels of x^ and g^ alone; moments are computed on the way.</summary>
    internal void GradientRow(int tileRow, Panel<T> xCoefficients, Panel<T> gCoefficients, ParameterVector<T> gradients, ScratchArea<T> scratch)
    {
        for (int chunk = 0; chunk < xCoefficients.Chunks; chunk++)
        {
            GradientRow(tileRow, xCoefficients.Chunk(chunk), gCoefficients.Chunk(chunk) + (long)tileRow * Tile * xCoefficients.Lanes,
                xCoefficients.Lanes, gradients, scratch);
        }
    }

    /// <summary>The same for one chunk: all of x^ [Dp][width] and the tile row's block of g^ [Tile][width].</summary>
    internal void GradientRow(int tileRow, T* xCoefficients, T* gHatBlock, int width, ParameterVector<T> gradients, ScratchArea<T> scratch)
    {
        if (Wanted(Coefficients, gradients))
        {
            SparseKernel.Gradient(_pattern!, tileRow, xCoefficients, 0, gHatBlock - (long)tileRow * Tile * width, 0, 1, width, gradients.At(Coefficients!));
        }

        if (_factors is null || !Wanted(Alphas, gradients)) return;
        T* x = scratch.Take((long)BasisFunctions.FactorCount * width);
        T* g = scratch.Take((long)BasisFunctions.FactorCount * width);
        AlphaKernel.Moments(_factors, gHatBlock, g, width);
        T* gradient = gradients.At(Alphas!) + (long)tileRow * TileColumns * BasisFunctions.Count;
        for (int j = 0; j < TileColumns; j++)
        {
            AlphaKernel.Moments(_factors, xCoefficients + (long)j * Tile * width, x, width);
            AlphaKernel.Gradient(_factors, x, g, gradient + (j * BasisFunctions.Count), width);
        }
    }

    /// <summary>Whether gradients of this matrix are wanted at all.</summary>
    internal bool HasGradients(ParameterVector<T> gradients) => Wanted(Coefficients, gradients) || Wanted(Alphas, gradients);

    private static bool Wanted(ParameterSlice? slice, ParameterVector<T> gradients) => slice is not null && gradients.Holds(slice);

    private void ClearRows(T* block, int rows, int width)
    {
        if (rows < Tile) new Span<T>(block + (long)rows * width, (Tile - rows) * width).Clear();
    }
}
