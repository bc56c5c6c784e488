using System.Numerics;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Models;

/// <summary>
/// A [V, D] table of the model: rows are looked up by token id (embedding) and multiplied with the final activations (head). Letters: w lanes of a chunk,
/// Vp and Dp in whole tiles. A chunk's methods run in parallel over chunks, the gradient methods over items.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
internal abstract unsafe class TokenTable<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    protected TokenTable(int vocabulary, int width) => (Vocabulary, Width) = (vocabulary, width);

    public int Vocabulary { get; }

    public int Width { get; }

    /// <summary>V in whole tiles: rows of a chunk of logits.</summary>
    public abstract int PaddedVocabulary { get; }

    /// <summary>D in the table's own tiles.</summary>
    public abstract int PaddedWidth { get; }

    /// <summary>Scratch elements that a chunk's methods take at most.</summary>
    public abstract long ScratchElements { get; }

    /// <summary>Bytes beside the parameters.</summary>
    public virtual long FixedBytes => 0;

    /// <summary>Those in native memory.</summary>
    public virtual long NativeBytes => 0;

    /// <summary>Items of the gradient loop.</summary>
    public abstract int GradientItems { get; }

    /// <summary>Whether the table is a compressed matrix.</summary>
    public abstract bool IsCompressed { get; }

    /// <summary>The values now.</summary>
    public abstract TableWeights ToWeights();

    /// <summary>The values for a copy of the model, which reads them out of this one's parameters.</summary>
    public virtual TableWeights ToCopy() => ToWeights();

    /// <summary>The table of weights that were checked.</summary>
    public static TokenTable<T> Create(ParameterVector<T> parameters, string name, TableWeights weights, int vocabulary, int width) =>
        weights.Compressed is { } matrix
        ? new RbeTokenTable<T>(parameters, name, matrix)
        : new DenseTokenTable<T>(parameters, name, weights, vocabulary, width);

    /// <summary>x[., lane] = row of tokens[lane] (padded rows and lanes zero); tokens holds <paramref name="lanes"/> ids.</summary>
    public abstract void LookupChunk(ReadOnlySpan<int> tokens, int lanes, T* x, int paddedWidth, int width, ScratchArea<T> scratch);

    /// <summary>logits [Vp][w] of one chunk of activations x [Dp][w]; xCoefficients [Dp][w] receives what the gradient needs.</summary>
    public abstract void LogitsChunk(T* x, T* xCoefficients, T* logits, int width, ScratchArea<T> scratch);

    /// <summary>Items of the loop over <see cref="LogitsItem"/>.</summary>
    public abstract int LogitsItems { get; }

    /// <summary>Scratch elements that <see cref="LogitsItem"/> takes.</summary>
    public abstract long LogitsItemScratch { get; }

    /// <summary>What <see cref="LogitsItem"/> makes of the vectors x [batch][stride] for all items; for float.</summary>
    public abstract LogitVectors<T> PrepareLogits(T* x, int stride, int batch, Workspace<T> workspace);

    /// <summary>Some of the logits [batch][V] of single vectors, without lanes of other tokens.</summary>
    public abstract void LogitsItem(int item, LogitVectors<T> x, T* logits, ScratchArea<T> scratch);

    /// <summary>dx [Dp][w] from dlogits [Vp][w]; dlogits become what the gradient needs.</summary>
    public abstract void LogitsBackwardChunk(T* dlogits, T* dx, int paddedWidth, int width, ScratchArea<T> scratch);

    /// <summary>Adds the head's weight gradient of one item over the chunks of the panels that LogitsChunk and LogitsBackwardChunk filled.</summary>
    public abstract void HeadGradientItem(int item, Panel<T> xCoefficients, Panel<T> dlogits, ParameterVector<T> gradients, ScratchArea<T> scratch);

    /// <summary>Adds the embedding's gradient of one item: rows of the tokens += dx.</summary>
    public abstract void LookupGradientItem(int item, ReadOnlySpan<int> tokens, Panel<T> dx, ParameterVector<T> gradients, ScratchArea<T> scratch);
}

/// <summary>Vectors as a table's head takes them: as they are, or in the coefficient domain with their moments.</summary>
/// <param name="vectors">[batch][stride].</param>
/// <param name="moments">[batch][momentStride].</param>
/// <param name="stride">Elements from a vector to the next.</param>
/// <param name="momentStride">The same of moments.</param>
/// <param name="batch">Vectors.</param>
/// <typeparam name="T">Element type.</typeparam>
internal readonly unsafe struct LogitVectors<T>(T* vectors, T* moments, int stride, int momentStride, int batch)
    where T : unmanaged
{
    public readonly T* Vectors = vectors, Moments = moments;
    public readonly int Stride = stride, MomentStride = momentStride, Batch = batch;
}

/// <summary>A dense table, [V][D] row-major among the parameters.</summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class DenseTokenTable<T> : TokenTable<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int ItemRows = 64;
    private const int ItemFeatures = 16;
    private readonly ParameterVector<T> _parameters;
    private readonly ParameterSlice _slice;

    public DenseTokenTable(ParameterVector<T> parameters, string name, TableWeights weights, int vocabulary, int width)
        : base(vocabulary, width)
    {
        _parameters = parameters;
        _slice = weights.Stored is { } stored ? parameters.Add(name, ParameterKind.Embedding, stored)
            : parameters.Add(name, ParameterKind.Embedding, weights.Dense!);
    }

    public override bool IsCompressed => false;

    public override int PaddedVocabulary => Vocabulary;

    public override int PaddedWidth => Width;

    public override long ScratchElements => ScratchArea<T>.Size((long)Panel<T>.WideLanes * Panel<T>.RoundUp(Width, 16));

    public override int GradientItems => Math.Max((Vocabulary + ItemRows - 1) / ItemRows, (Width + ItemFeatures - 1) / ItemFeatures);

    public override TableWeights ToWeights() => _parameters.ToFloats(_slice);

    public override TableWeights ToCopy() =>
        _parameters is ParameterVector<float> values ? new TableWeights(null, null) { Stored = new TableCopy(values, _slice) } : ToWeights();

    public override void LookupChunk(ReadOnlySpan<int> tokens, int lanes, T* x, int paddedWidth, int width, ScratchArea<T> scratch)
    {
        T* w = _parameters.At(_slice);
        if (lanes < width || paddedWidth > Width) new Span<T>(x, paddedWidth * width).Clear();
        for (int lane = 0; lane < lanes; lane++)
        {
            T* row = w + (long)tokens[lane] * Width;
            for (int f = 0; f < Width; f++) x[(long)f * width + lane] = row[f];
        }
    }

    public override void LogitsChunk(T* x, T* xCoefficients, T* logits, int width, ScratchArea<T> scratch)
    {
        Gemm.Multiply(Vocabulary, width, Width, _parameters.At(_slice), Width, 1, x, width, logits, width, accumulate: false);
        if (xCoefficients != null) Buffer.MemoryCopy(x, xCoefficients, (long)Width * width * sizeof(T), (long)Width * width * sizeof(T));
    }

    public override int LogitsItems => (Vocabulary + ItemRows - 1) / ItemRows;

    public override long LogitsItemScratch => 0;

    public override LogitVectors<T> PrepareLogits(T* x, int stride, int batch, Workspace<T> workspace) => new(x, null, stride, 0, batch);

    // The rows of an item stay in the nearest cache for the next vector.
    public override void LogitsItem(int item, LogitVectors<T> x, T* logits, ScratchArea<T> scratch)
    {
        int first = item * ItemRows, rows = Math.Min(ItemRows, Vocabulary - first);
        for (int b = 0; b < x.Batch; b++)
        {
            T* y = logits + ((long)b * Vocabulary) + first;
            new Span<T>(y, rows).Clear();
            VectorKernel.Dot((float*)(_parameters.At(_slice) + ((long)first * Width)), Width, rows, Width,
                (float*)(x.Vectors + ((long)b * x.Stride)), (float*)y);
        }
    }

    public override void LogitsBackwardChunk(T* dlogits, T* dx, int paddedWidth, int width, ScratchArea<T> scratch)
    {
        Gemm.Multiply(Width, width, Vocabulary, _parameters.At(_slice), 1, Width, dlogits, width, dx, width, accumulate: false);
        new Span<T>(dx + (long)Width * width, (paddedWidth - Width) * width).Clear();
    }

    public override void HeadGradientItem(int item, Panel<T> xCoefficients, Panel<T> dlogits, ParameterVector<T> gradients, ScratchArea<T> scratch)
    {
        int first = item * ItemRows, rows = Math.Min(ItemRows, Vocabulary - first), lanes = xCoefficients.Lanes;
        if (rows <= 0 || !gradients.Holds(_slice)) return;
        int ld = Panel<T>.RoundUp(Width, 16);
        T* transposed = scratch.Take((long)lanes * ld);
        for (int chunk = 0; chunk < xCoefficients.Chunks; chunk++)
        {
            Elementwise.Transpose(xCoefficients.Chunk(chunk), Width, lanes, lanes, transposed, ld);
            Gemm.Multiply(rows, Width, lanes, dlogits.Chunk(chunk) + (long)first * lanes, lanes, 1, transposed, ld,
                gradients.At(_slice) + (long)first * Width, Width, accumulate: true);
        }
    }

    public override void LookupGradientItem(int item, ReadOnlySpan<int> tokens, Panel<T> dx, ParameterVector<T> gradients, ScratchArea<T> scratch)
    {
        if (!gradients.Holds(_slice)) return;
        int first = item * ItemFeatures, last = Math.Min(first + ItemFeatures, Width);
        T* g = gradients.At(_slice);
        for (int t = 0; t < tokens.Length && first < last; t++)
        {
            T* lane = dx.Chunk(t / dx.Lanes) + t % dx.Lanes;
            T* row = g + (long)tokens[t] * Width;
            for (int f = first; f < last; f++) row[f] += lane[(long)f * dx.Lanes];
        }
    }
}

/// <summary>The values of another model's table.</summary>
internal sealed class TableCopy(ParameterVector<float> parameters, ParameterSlice slice) : StoredValues
{
    public override int Length => slice.Length;

    public override void Read(Span<float> values)
    {
        parameters.Read(slice, values);
        int bad = FiniteSearch.IndexOfNonFinite(values);
        if (bad < 0) return;
        throw new NonFiniteException(
            slice.Name, FormattableString.Invariant($"value {values[bad]} at element {bad}. Go back to an earlier file of the model."));
    }
}

/// <summary>A compressed table: a lookup decodes the tiles that hold a token's row.</summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class RbeTokenTable<T> : TokenTable<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int Moments = BasisFunctions.FactorCount;
    private readonly RbeLinear<T> _linear;
    private readonly MatrixRows<T> _rows;

    public RbeTokenTable(ParameterVector<T> parameters, string name, RbeMatrix matrix)
        : base(matrix.Rows, matrix.Columns)
    {
        _linear = new RbeLinear<T>(parameters, name, matrix, [], isTable: true);
        _rows = _linear.Rows();
    }

    public override bool IsCompressed => true;

    public override int PaddedVocabulary => _linear.TileRows * _linear.Tile;

    public override long FixedBytes => _linear.FixedBytes + _rows.NativeBytes;

    public override long NativeBytes => _linear.NativeBytes + _rows.NativeBytes;

    public override long ScratchElements => Math.Max(_rows.ScratchElements, _linear.ScratchElements
        + ScratchArea<T>.Size((long)Panel<T>.WideLanes * (_linear.Tile + PaddedWidth + (Moments * (_linear.TileRows + _linear.TileColumns)))) + 64);

    public override int GradientItems => _linear.TileRows;

    public override int PaddedWidth => _linear.TileColumns * _linear.Tile;

    public override TableWeights ToWeights() => _linear.ToMatrix();

    // Lanes in the order of their tokens: those of one tile row meet its tiles decoded once.
    public override void LookupChunk(ReadOnlySpan<int> tokens, int lanes, T* x, int paddedWidth, int width, ScratchArea<T> scratch)
    {
        if (lanes < width || paddedWidth > PaddedWidth) new Span<T>(x, paddedWidth * width).Clear();
        Span<int> ids = stackalloc int[lanes], order = stackalloc int[lanes];
        for (int lane = 0; lane < lanes; lane++) (ids[lane], order[lane]) = (tokens[lane], lane);
        ids.Sort(order);
        _rows.Read(tokens[..lanes], order, x, width, scratch);
    }

    public override void LogitsChunk(T* x, T* xCoefficients, T* logits, int width, ScratchArea<T> scratch)
    {
        T* coefficients = xCoefficients == null ? scratch.Take((long)PaddedWidth * width) : xCoefficients;
        T* moments = scratch.Take((long)_linear.TileColumns * Moments * width);
        _linear.TransformBlocks(_linear.TileColumns, x, coefficients, width);
        _linear.Moments(_linear.TileColumns, coefficients, moments, width);
        for (int i = 0; i < _linear.TileRows; i++) _linear.ForwardRow(i, coefficients, moments, logits + (long)i * _linear.Tile * width, width, scratch);
    }

    public override int LogitsItems => _linear.TileRows;

    public override long LogitsItemScratch => _linear.VectorScratch + ScratchArea<T>.Size(_linear.Tile);

    public override LogitVectors<T> PrepareLogits(T* x, int stride, int batch, Workspace<T> workspace)
    {
        _linear.PrepareVectors();
        int entries = _linear.VectorMoments;
        T* coefficients = workspace.Panel("head.vectors").Reshape(1, PaddedWidth + entries, PaddedWidth + entries).Pointer,
            moments = coefficients + ((long)batch * PaddedWidth);
        for (int b = 0; b < batch; b++)
        {
            _linear.TransformVector(x + ((long)b * stride), coefficients + ((long)b * PaddedWidth), _linear.TileColumns);
            _linear.VectorAlphaMoments(coefficients + ((long)b * PaddedWidth), moments + ((long)b * entries), _linear.TileColumns);
        }

        return new LogitVectors<T>(coefficients, moments, PaddedWidth, entries, batch);
    }

    public override void LogitsItem(int item, LogitVectors<T> x, T* logits, ScratchArea<T> scratch)
    {
        int tile = _linear.Tile, rows = Math.Min(tile, Vocabulary - (item * tile));
        T* y = scratch.Take(tile);
        for (int b = 0; b < x.Batch; b++)
        {
            _linear.VectorRow(item, x.Vectors + ((long)b * x.Stride), x.Moments + ((long)b * x.MomentStride), y, scratch);
            new Span<T>(y, rows).CopyTo(new Span<T>(logits + ((long)b * Vocabulary) + ((long)item * tile), rows));
        }
    }

    public override void LogitsBackwardChunk(T* dlogits, T* dx, int paddedWidth, int width, ScratchArea<T> scratch)
    {
        T* moments = scratch.Take((long)_linear.TileRows * Moments * width);
        _linear.TransformBlocks(_linear.TileRows, dlogits, dlogits, width);
        _linear.Moments(_linear.TileRows, dlogits, moments, width);
        Columns(dlogits, moments, dx, paddedWidth, width, scratch);
    }

    public override void HeadGradientItem(int item, Panel<T> xCoefficients, Panel<T> dlogits, ParameterVector<T> gradients, ScratchArea<T> scratch) =>
        _linear.GradientRow(item, xCoefficients, dlogits, gradients, scratch);

    public override void LookupGradientItem(int item, ReadOnlySpan<int> tokens, Panel<T> dx, ParameterVector<T> gradients, ScratchArea<T> scratch)
    {
        // dC = T(one-hot) T(dx)' of this tile row, chunk by chunk.
        if (!_linear.HasGradients(gradients)) return;
        int lanes = dx.Lanes;
        T* coefficients = scratch.Take((long)PaddedWidth * lanes);
        T* hot = scratch.Take((long)_linear.Tile * lanes);
        for (int chunk = 0; chunk < dx.Chunks; chunk++)
        {
            ReadOnlySpan<int> ids = tokens.Slice(chunk * lanes, dx.TokensIn(chunk));
            if (!OneHot(ids, item, hot, lanes)) continue;
            _linear.TransformBlocks(1, hot, hot, lanes);
            _linear.TransformBlocks(_linear.TileColumns, dx.Chunk(chunk), coefficients, lanes);
            _linear.GradientRow(item, coefficients, hot, lanes, gradients, scratch);
        }
    }

    // [B][w]: one at the rows of a tile row that lanes' tokens are, else zero. Says whether there is any.
    private bool OneHot(ReadOnlySpan<int> tokens, int tileRow, T* hot, int width)
    {
        bool any = false;
        new Span<T>(hot, _linear.Tile * width).Clear();
        for (int lane = 0; lane < tokens.Length; lane++)
        {
            int row = tokens[lane] - (tileRow * _linear.Tile);
            if (row < 0 || row >= _linear.Tile) continue;
            hot[((long)row * width) + lane] = T.One;
            any = true;
        }

        return any;
    }

    private void Columns(T* gCoefficients, T* moments, T* x, int paddedWidth, int width, ScratchArea<T> scratch)
    {
        if (paddedWidth > PaddedWidth) new Span<T>(x + (long)PaddedWidth * width, (paddedWidth - PaddedWidth) * width).Clear();
        for (int j = 0; j < _linear.TileColumns; j++)
        {
            T* block = x + (long)j * _linear.Tile * width;
            new Span<T>(block, _linear.Tile * width).Clear();
            _linear.AccumulateColumn(j, gCoefficients, moments, block, width, scratch);
            _linear.FinishColumn(j, block, block, width);
        }
    }
}
