using System.Numerics;
using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Memory;
using RbeMl.Numerics;
using static RbeMl.Layers.BlockPanel;

namespace RbeMl.Layers;

/// <summary>
/// Does the steps of a block for all tokens of a call. With enough chunks for all threads, a thread takes a few chunks through all steps up
/// to the attention, and later through all after it, while they are in its cache; what the call does not keep passes through its scratch.
/// With fewer chunks than threads each step is a loop of its own, products over the tile rows of their results, so that a short text keeps
/// all threads at work. Every block of a result is computed by the same calls either way, so it has the same bits.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class BlockForward<T>(RbeTransformerBlock<T> block)
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly BlockLayout _layout = block.Layout;

    // A tile of a frozen base is decoded once for the chunks that a thread works on together. More would not stay in its cache.
    private readonly int _mostTogether = block.Linears.Any(linear => linear.HasBase) ? 4 : 1;

    /// <summary>Scratch elements of a thread.</summary>
    public long Scratch(int tokens, int threads)
    {
        int together = Together((int)(Panel<T>.Elements(tokens, 1) / Panel<T>.LanesFor(tokens)), threads);
        long coefficients = (2L + together) * _layout.PaddedWidth, moments = (long)together * MomentRows;
        long products = Math.Max(block.FeedForward.ScratchElements(together), block.Attention.ScratchElements(together));
        return ScratchArea<T>.Size(Panel<T>.WideLanes * (coefficients + moments)) + products + 64;
    }

    /// <summary>Gives the panels of a call their shapes, and does the block's steps.</summary>
    public void Run(BlockState<T> call)
    {
        Prepare(call);
        for (BlockPanel panel = Middle; panel <= Result; panel++)
        {
            bool always = panel is Middle or Qkv or Att or Result;
            if (always || (call.IsDivided && panel != Hidden) || _layout.Saves(call.Keep, panel)) call.Shape(panel);
        }

        if (call.IsDivided) call.Shape(InputMoments);
        call.EnsureStatistics();
        EnsureScratch(call, backward: false);
        Run(call, block.Steps);
    }

    /// <summary>Decodes the LayerNorms and chooses how chunks are shared among threads.</summary>
    public void Prepare(BlockState<T> call)
    {
        block.DecodeNorms(call.NormVectors.Ensure(_layout.NormVectors));
        int threads = call.Workspace.Workers.Threads;
        call.Groups = Groups(call.Chunks, threads);
        call.IsDivided = call.Chunks < threads;
        if (call.IsDivided && block.UsesCodes) call.Codes.Ensure(call.Chunks * (CodesOfWidth(call) + CodesOfHidden(call)));
    }

    /// <summary>Makes room for a call in the threads' scratch.</summary>
    public void EnsureScratch(BlockState<T> call, bool backward) => call.Workspace.EnsureScratch(Math.Max(
        Scratch(call.Tokens, call.Workspace.Workers.Threads),
        block.Attention.HeadScratch(call.Batch, call.Length, call.Past, backward, call.Options.Cache, call.Options.Documents is not null)));

    /// <summary>Does some steps; the panels that they write to are there.</summary>
    public void Run(BlockState<T> call, BlockStep[] steps)
    {
        for (int first = 0, end; first < steps.Length; first = end)
        {
            end = first + 1;
            if (steps[first].Operation == BlockOperation.Attend)
            {
                AttendAll(call);
                continue;
            }

            while (!call.IsDivided && end < steps.Length && steps[end].Operation != BlockOperation.Attend) end++;
            int items = call.IsDivided ? call.Chunks * TileRows(steps[first]) : call.Groups;
            Work work = new(this, call, steps, first, end);
            call.Workspace.Workers.For(items, ref work);
        }
    }

    private int MomentRows => _layout.PaddedWidth / _layout.Tile * BasisFunctions.FactorCount;

    // Groups of chunks that are worked on together: as many for each thread, where there are chunks enough.
    private int Groups(int chunks, int threads) =>
        Math.Min(chunks, Panel<T>.RoundUp((chunks + _mostTogether - 1) / _mostTogether, threads));

    // Chunks of a group at most.
    private int Together(int chunks, int threads)
    {
        int groups = Groups(chunks, threads);
        return (chunks + groups - 1) / groups;
    }

    private long CodesOfWidth(BlockState<T> call) => RbeLinear<T>.ElementsOfCodes(_layout.PaddedWidth, _layout.Tile, call.Width);

    private long CodesOfHidden(BlockState<T> call) => RbeLinear<T>.ElementsOfCodes(_layout.PaddedHidden, _layout.Tile, call.Width);

    private int TileRows(in BlockStep step) => step.IsProduct ? _layout.Rows(step.To) / _layout.Tile : 1;

    // All steps of a few chunks, or one step of a chunk, if it is a product one tile row of that.
    private void Run(BlockState<T> call, ReadOnlySpan<BlockStep> steps, int item, int worker)
    {
        ScratchArea<T> scratch = call.Workspace.Scratch(worker);
        int rows = TileRows(steps[0]);
        int first = call.IsDivided ? item / rows : FirstOf(call, item);
        int count = call.IsDivided ? 1 : FirstOf(call, item + 1) - first;
        long lanes = call.IsDivided ? 0 : count * call.Width;
        T* coefficients = scratch.Take(_layout.PaddedWidth * lanes), moments = scratch.Take(MomentRows * lanes);
        Part part = new(call, first, count, call.IsDivided ? item % rows : null, coefficients, moments);
        long t0 = call.Now();
        foreach (BlockStep step in steps)
        {
            Run(step, part, scratch);
            t0 = call.Lap(worker, step.Stage, t0);
        }
    }

    private static int FirstOf(BlockState<T> call, int group) => (int)((long)group * call.Chunks / call.Groups);

    private void Run(in BlockStep step, in Part part, ScratchArea<T> scratch)
    {
        switch (step.Operation)
        {
            case BlockOperation.Multiply: Multiply(step, part, scratch); break;
            case BlockOperation.Expand: Expand(part, scratch); break;
            case BlockOperation.Contract: Contract(part, scratch); break;
            case BlockOperation.ExpandOnly: MultiplyRows(step, part, Read(part, step.From), scratch); break;
            default:
                for (int c = 0; c < part.Group.Count; c++) RunChunk(step, part, c, scratch);
                break;
        }
    }

    private void RunChunk(in BlockStep step, in Part part, int c, ScratchArea<T> scratch)
    {
        (BlockState<T> call, int chunk) = (part.Call, part.First + c);
        T* from = call[step.From].Chunk(chunk);
        if (step.Operation is BlockOperation.Add or BlockOperation.AddNormalized)
        {
            if (step.Operation == BlockOperation.AddNormalized)
            {
                (LayerNorm<T> norm, NormPlace<T> at) = (block.NormOf(step.From), call.Norm(step.From == Input, chunk));
                T* normalized = scratch.Take((long)_layout.PaddedWidth * call.Width);
                norm.ApplyBlock(from, at.Mean, at.Rstd, at.Gamma, at.Beta, 0, _layout.PaddedWidth, normalized, call.Width);
                from = normalized;
            }

            T* half = call[step.To].Chunk(chunk);
            block.Drop(call, step.To == Middle ? DropoutSite.AttentionResidual : DropoutSite.FeedForwardResidual, chunk, half);
            Elementwise.Add(half, from, half, (long)_layout.PaddedWidth * call.Width);
            if (step.To == Result) call.Look(Result, chunk, 0, _layout.PaddedWidth);
            return;
        }

        RbeLinear<T>[] readers = block.Readers(step.To);
        CoefficientBlocks<T> coefficients = Read(part, step.To);
        if (step.Operation == BlockOperation.Normalize) Normalize(step.From == Input, readers[0], call, chunk, from, coefficients.Coefficients[c]);
        else readers[0].TransformBlocks(readers[0].TileColumns, from, coefficients.Coefficients[c], call.Width);
        RbeLinear<T>.MomentsOf(readers, coefficients.Coefficients[c], coefficients.Moments[c], call.Width);
        if (coefficients.Codes.IsNull) return;
        CoderOf(step.To)!.QuantizeBlocks(coefficients.Coefficients[c], 0, readers[0].TileColumns, coefficients.Codes[c], call.Width);
    }

    // One of the matrices that read codes of a panel; null where none does.
    private RbeLinear<T>? CoderOf(BlockPanel coefficients) => Array.Find(block.Readers(coefficients), linear => linear.UsesCodes);

    // LayerNorm into its transform: block by block in the nearest cache (fused), or by way of the whole normalised chunk.
    private void Normalize(bool first, RbeLinear<T> linear, BlockState<T> call, int chunk, T* x, T* coefficients)
    {
        LayerNorm<T> norm = block.NormOf(first ? Input : Middle);
        NormPlace<T> at = call.Norm(first, chunk);
        int width = call.Width, together = block.FuseLayerNorm ? 1 : linear.TileColumns;
        norm.Statistics(x, at.Mean, at.Rstd, width);
        for (int j = 0; j < linear.TileColumns; j += together)
        {
            T* blocks = coefficients + ((long)j * linear.Tile * width);
            norm.ApplyBlock(x, at.Mean, at.Rstd, at.Gamma, at.Beta, j * linear.Tile, together * linear.Tile, blocks, width);
            linear.TransformBlocks(together, blocks, blocks, width);
        }
    }

    private void Multiply(in BlockStep step, in Part part, ScratchArea<T> scratch)
    {
        CoefficientBlocks<T> x = Read(part, step.From);
        if (part.Row is null && CoderOf(step.From) is { } reader)
        {
            x = reader.Quantize(x, reader.TileColumns, scratch.Take(reader.CodeElements(reader.TileColumns, x.Lanes) * x.Count));
        }

        (int row, int rows) = MultiplyRows(step, part, x, scratch);
        if (step.To != Qkv) return;
        for (int c = 0; c < x.Count; c++) part.Call.Look(step.To, part.First + c, row * _layout.Tile, rows * _layout.Tile);
    }

    private (int First, int Rows) MultiplyRows(in BlockStep step, in Part part, CoefficientBlocks<T> x, ScratchArea<T> scratch)
    {
        RbeLinear<T>[] linears = block.Readers(step.From);
        (int first, int rows) = part.Row is { } one ? (one, 1) : (0, TileRows(step));
        for (int row = first; row < first + rows; row++)
        {
            (int m, int i) = Math.DivRem(row, linears[0].TileRows);
            linears[m].ForwardRow(i, x, Block(part, step.To, row), scratch);
        }

        return (first, rows);
    }

    // Of whole chunks the whole layer: its hidden features stay in the cache, a few tiles at a time.
    private void Expand(in Part part, ScratchArea<T> scratch)
    {
        BlockState<T> call = part.Call;
        FeedForward<T> feedForward = block.FeedForward;
        CoefficientBlocks<T> x = Read(part, X2Coefficients);
        if (part.Row is not { } row)
        {
            ChunkPointers<T> hidden = call.Holds(Hidden) ? Block(part, Hidden, 0) : default;
            ChunkPointers<T> coefficients = call.Holds(HiddenCoefficients) ? Block(part, HiddenCoefficients, 0) : default;
            feedForward.ForwardChunks(x, hidden, coefficients, Block(part, Result, 0), scratch);
            return;
        }

        T* input = call.Holds(Hidden) ? Block(part, Hidden, row)[0] : scratch.Take((long)_layout.Tile * call.Width);
        CoefficientBlocks<T> output = Read(part, HiddenCoefficients);
        T* moments = output.Moments[0] + ((long)row * BasisFunctions.FactorCount * call.Width);
        feedForward.HiddenRow(row, x, input, Block(part, HiddenCoefficients, row)[0], moments, output.Codes, scratch);
    }

    // Of whole chunks Expand did it.
    private void Contract(in Part part, ScratchArea<T> scratch)
    {
        if (part.Row is { } row) block.FeedForward.OutputRow(row, Read(part, HiddenCoefficients), Block(part, Result, row)[0], scratch);
    }

    // Parts of a head need its keys and values in the cache before any of them starts.
    private void AttendAll(BlockState<T> call)
    {
        (int sequences, int longest) = call.Sequences;
        int heads = checked(sequences * _layout.Heads);
        call.Parts = MultiHeadAttention<T>.Parts(heads, longest, call.Workspace.Workers.Threads, backward: false);
        bool appends = call.Options.Cache is not null && call.Parts > 1;
        HeadWork append = new(this, call, append: true), attend = new(this, call, append: false);
        if (appends) call.Workspace.Workers.For(heads, ref append);
        call.Workspace.Workers.For(heads * call.Parts, ref attend);
    }

    private void Append(BlockState<T> call, int head) =>
        block.Attention.HeadAppend(block.HeadOf(call, head), call[Qkv], call.Options.Cache!);

    private void Attend(BlockState<T> call, int item, int worker)
    {
        long t0 = call.Now();
        MultiHeadAttention<T>.HeadCall head = block.HeadOf(call, item / call.Parts);
        if (call.Options.Cache is not null && call.Parts == 1) Append(call, item);
        block.Attention.HeadForward(
            head, HeadPart(call, item), call[Qkv], call[Att], call.RowStatistics, call.Options, call.AttentionWeights,
            call.Workspace.Scratch(worker));
        call.Lap(worker, ProfileStage.Attention, t0);
    }

    /// <summary>
    /// The part of its head that an item is: the last queries see the most keys, so parts run from the last to the first.
    /// </summary>
    public static MultiHeadAttention<T>.HeadPart HeadPart(BlockState<T> call, int item) =>
        new(call.Parts - 1 - (item % call.Parts), call.Parts);

    // A panel of coefficients of the part's chunks with its moments: in their panels, or in the scratch that one panel after the other
    // passes through. Divided calls have codes, where products read them, as whole panels too.
    private CoefficientBlocks<T> Read(in Part part, BlockPanel coefficients)
    {
        BlockState<T> call = part.Call;
        int width = call.Width;
        ChunkPointers<T> values = call.Holds(coefficients) ? Block(part, coefficients, 0) : new(part.Hat, (long)_layout.PaddedWidth * width);
        ChunkPointers<T> moments = part.Row is null
            ? new(part.Moments, (long)MomentRows * width)
            : new(call[InputMoments].Chunk(part.First) + ((long)_layout.InputAlphaMoments(coefficients) * width), 0);
        return new CoefficientBlocks<T>(part.Group, values, moments, part.Row is null ? default : Codes(part, coefficients));
    }

    // Codes of one panel of the model's width at a time, then those of the hidden layer, which are made while those of its input are read.
    private ChunkPointers<byte> Codes(in Part part, BlockPanel coefficients)
    {
        if (CoderOf(coefficients) is null) return default;
        BlockState<T> call = part.Call;
        bool hidden = coefficients == HiddenCoefficients;
        long width = CodesOfWidth(call), stride = hidden ? CodesOfHidden(call) : width;
        T* codes = call.Codes.Pointer + (hidden ? call.Chunks * width : 0);
        return new ChunkPointers<byte>((byte*)(codes + (part.First * stride)), stride * sizeof(T));
    }

    // A tile row of a panel in the part's chunks.
    private ChunkPointers<T> Block(in Part part, BlockPanel panel, int row) =>
        new(part.Call[panel].Chunk(part.First) + ((long)row * _layout.Tile * part.Call.Width), part.Call[panel].ChunkStride);

    // A few chunks and scratch for coefficients of theirs, or, in a divided call, one tile row of a chunk.
    private readonly struct Part(BlockState<T> call, int first, int count, int? row, T* coefficients, T* moments)
    {
        public readonly BlockState<T> Call = call;
        public readonly int First = first;
        public readonly int? Row = row;
        public readonly T* Hat = coefficients, Moments = moments;
        public readonly ChunkBatch Group = new(count, call.Width, call[Input].TokensIn(first + count - 1));
    }

    private readonly struct Work(BlockForward<T> forward, BlockState<T> call, BlockStep[] steps, int first, int end) : IParallelWork
    {
        public void Execute(int item, int worker) => forward.Run(call, steps.AsSpan(first, end - first), item, worker);
    }

    private readonly struct HeadWork(BlockForward<T> forward, BlockState<T> call, bool append) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            if (append) forward.Append(call, item);
            else forward.Attend(call, item, worker);
        }
    }
}
