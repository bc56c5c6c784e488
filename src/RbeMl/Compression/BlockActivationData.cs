using RbeMl.Codec;
using RbeMl.Layers;

namespace RbeMl.Compression;

/// <summary>Activations that enter a block, to calibrate or to measure with: [B, T, D] row-major.</summary>
public sealed record BlockActivationData
{
    /// <summary>Checks and wraps activations.</summary>
    /// <param name="values">[B, T, D]; referenced, not copied.</param>
    /// <param name="batch">B, sequences.</param>
    /// <param name="length">T, tokens of each.</param>
    /// <param name="width">D.</param>
    /// <exception cref="ShapeMismatchException">The array does not hold B x T x D values.</exception>
    public BlockActivationData(float[] values, int batch, int length, int width)
    {
        ArgumentNullException.ThrowIfNull(values);
        if (!Shape.Holds(values.Length, batch, length, width))
        {
            throw Shape.Mismatch("activations", values.Length, "Pass row-major [batch, length, width].", batch, length, width);
        }

        (Values, Batch, Length, Width) = (values, batch, length, width);
    }

    /// <summary>[B, T, D].</summary>
    public float[] Values { get; }

    /// <summary>B.</summary>
    public int Batch { get; }

    /// <summary>T.</summary>
    public int Length { get; }

    /// <summary>D.</summary>
    public int Width { get; }

    /// <summary>B x T.</summary>
    public int Tokens => Batch * Length;

    /// <summary>
    /// Positions of each sequence that count, for calibration as for errors; the others are only attended to. All unless told otherwise.
    /// Lets one sequence serve both: its first part to calibrate, the rest, seen by nothing but attention, to measure.
    /// </summary>
    /// <exception cref="InvalidSettingException">They are none, or beyond the sequence.</exception>
    public Range Positions
    {
        get;
        init
        {
            int start = value.Start.GetOffset(Length), end = value.End.GetOffset(Length);
            if (start < 0 || end > Length || start >= end)
            {
                throw new InvalidSettingException("positions", value, $"name at least one of the {Length} of a sequence.");
            }

            field = value;
        }
    } = Range.All;

    /// <summary>Relative error of other activations of this shape, ‖these − others‖ / ‖these‖, at the <see cref="Positions"/> that count.</summary>
    /// <param name="actual">[B, T, D].</param>
    /// <exception cref="ShapeMismatchException">The array has another length.</exception>
    public double RelativeErrorOf(ReadOnlySpan<float> actual)
    {
        if (actual.Length != Values.Length)
        {
            throw new ShapeMismatchException("actual activations", $"{Values.Length} values", $"{actual.Length}", "Compare arrays of one shape.");
        }

        return RbeCompressor.RelativeError(Counted(Values, Width), Counted(actual, Width));
    }

    /// <summary>The rows at the positions that count, of values with <paramref name="features"/> a token.</summary>
    internal ReadOnlySpan<float> Counted(ReadOnlySpan<float> rows, int features)
    {
        (int start, int count) = Positions.GetOffsetAndLength(Length);
        if (count == Length) return rows;
        int stride = Length * features, sequences = rows.Length / stride;
        float[] counted = new float[checked(sequences * count * features)];
        for (int s = 0; s < sequences; s++) rows.Slice((s * stride) + (start * features), count * features).CopyTo(counted.AsSpan(s * count * features));
        return counted;
    }

    /// <summary>Other values of the same shape and positions.</summary>
    internal BlockActivationData With(float[] values) => new(values, Batch, Length, Width) { Positions = Positions };

    /// <summary>Sequences first .. first + count as a span.</summary>
    internal ReadOnlySpan<float> Sequences(int first, int count) => Values.AsSpan(first * Length * Width, count * Length * Width);
}

/// <summary>What goes into a dense block and what comes out: the yardstick of its compressed forms.</summary>
/// <param name="Input">[B, T, D].</param>
/// <param name="Expected">[B, T, D], the dense block's output.</param>
internal sealed record BlockExample(BlockActivationData Input, BlockActivationData Expected)
{
    /// <summary>Runs the dense block.</summary>
    /// <param name="dense">The weights.</param>
    /// <param name="config">Shapes; causal or not.</param>
    /// <param name="input">Activations.</param>
    /// <param name="workspace">Threads and scratch; null makes one for this call.</param>
    /// <param name="cancel">Ends the work.</param>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static BlockExample Run(
        DenseBlockWeights dense, TransformerConfig config, BlockActivationData input, Workspace<float>? workspace = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(input);
        using Workspace<float>? own = workspace is null ? new Workspace<float>() : null;
        float[] output = BlockRunner.Run(BlockWeights.Compress(dense, config, RbeOptions.Dense), config, input, workspace ?? own!, cancel: cancel);
        return new BlockExample(input, input.With(output));
    }
}

/// <summary>Runs a block over activations, some sequences at a time, so that memory does not grow with their number.</summary>
internal static class BlockRunner
{
    private const int TokensPerPass = 2048;

    /// <summary>Output of the block, [B, T, D]; <paramref name="observe"/> sees what each pass leaves, with its number of tokens.</summary>
    public static float[] Run(
        BlockWeights weights, TransformerConfig config, BlockActivationData x, Workspace<float> workspace,
        Action<BlockActivations<float>, int>? observe = null, CancellationToken cancel = default)
    {
        if (x.Width != config.Width)
        {
            throw new ShapeMismatchException("activations", $"{config.Width} features", $"{x.Width}", "Pass the input of a block of this configuration.");
        }

        using RbeTransformerBlock<float> block = new(config, weights);
        using BlockContext<float>? context = observe is null ? null : new BlockContext<float>();
        float[] output = new float[x.Values.Length];
        int sequences = Math.Max(1, TokensPerPass / x.Length);
        for (int first = 0; first < x.Batch; first += sequences)
        {
            cancel.ThrowIfCancellationRequested();
            int count = Math.Min(sequences, x.Batch - first);
            block.Forward(x.Sequences(first, count), count, x.Length, null, context, workspace).Output.CopyTo(output, first * x.Length * x.Width);
            observe?.Invoke(context!.Saved, count * x.Length);
        }

        return output;
    }

    /// <summary>Forward and backward of the block over activations, some sequences at a time.</summary>
    /// <param name="weights">The block.</param>
    /// <param name="config">Shapes.</param>
    /// <param name="x">Its input.</param>
    /// <param name="gradient">The gradient of its output, of the same shape.</param>
    /// <param name="workspace">Threads and scratch.</param>
    /// <param name="output">[B, T, D], its output, written; null where it is not wanted.</param>
    /// <param name="below">[B, T, D], the gradient of its input, written; null where it is not wanted.</param>
    /// <param name="observe">Sees each pass: what the forward leaves and, in the state of a call, the gradients.</param>
    /// <param name="cancel">Ends the work.</param>
    /// <exception cref="ShapeMismatchException">A shape does not fit.</exception>
    public static void RunBack(
        BlockWeights weights, TransformerConfig config, BlockActivationData x, BlockActivationData gradient, Workspace<float> workspace, float[]? output,
        float[]? below, Action<BlockActivations<float>, BlockState<float>>? observe, CancellationToken cancel = default)
    {
        if (x.Width != config.Width || (gradient.Batch, gradient.Length, gradient.Width) != (x.Batch, x.Length, x.Width))
        {
            throw new ShapeMismatchException("activations", $"input and output gradient of [{x.Batch}, {x.Length}, {config.Width}]",
                $"an input of {x.Width} features and a gradient of [{gradient.Batch}, {gradient.Length}, {gradient.Width}]",
                "Pass input and output gradient of a block of this configuration.");
        }

        using RbeTransformerBlock<float> block = new(config, weights);
        using BlockContext<float> context = new();
        using ParameterVector<float> unused = block.Parameters.CreateLike(_ => false);
        int sequences = Math.Max(1, TokensPerPass / x.Length);
        for (int first = 0; first < x.Batch; first += sequences)
        {
            cancel.ThrowIfCancellationRequested();
            int count = Math.Min(sequences, x.Batch - first), at = first * x.Length * x.Width;
            float[] y = block.Forward(x.Sequences(first, count), count, x.Length, null, context, workspace).Output;
            if (output is not null) y.CopyTo(output, at);
            float[] dx = block.Backward(gradient.Sequences(first, count), context, unused, workspace);
            if (below is not null) dx.CopyTo(below, at);
            observe?.Invoke(context.Saved, workspace.State<BlockState<float>>());
        }
    }
}
