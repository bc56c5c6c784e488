using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Layers;

/// <content>What a call may be given, where a NaN or infinity was made, what of a call is a head, and what is dropped of a chunk.</content>
public sealed unsafe partial class RbeTransformerBlock<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>Requires int8 activations to have something to act on.</summary>
    internal static void RequireCodes(ActivationPrecision activations, IEnumerable<BlockWeights> blocks)
    {
        if (!Enum.IsDefined(activations)) throw new InvalidSettingException(nameof(activations), activations, "use Float32 or Int8.");
        if (activations == ActivationPrecision.Float32) return;
        if (typeof(T) != typeof(float))
        {
            throw new InvalidSettingException(
                nameof(activations), activations, $"int8 stands for float activations, not {typeof(T).Name}; use Float32.");
        }

        if (blocks.Any(b => Enum.GetValues<BlockMatrix>().Any(m => b.MatrixAt(m).Base is not null))) return;
        throw new InvalidSettingException(
            nameof(activations), activations,
            "no weights are frozen codes, so it would change nothing; use Float32.");
    }

    private static Hold Claim(BlockContext<T>? context) => context is null ? default : context.Lease.Claim();

    private static Hold Claim(LayerKvCache<T>? cache) => cache is null ? default : cache.Lease.Claim();

    private void CheckFilled(BlockContext<T> context)
    {
        if (ReferenceEquals(context.Owner, this)) return;
        if (context.Owner is { } owner)
        {
            throw new ShapeMismatchException(
                $"{Name}: context", "one that this block's Forward filled", $"one of another block, {owner.Name}",
                "Make a context for each block.");
        }

        throw new InvalidOperationException($"{Name}: the context is empty. Run Forward with it once before each Backward.");
    }

    private void CheckBackward(Panel<T> dy, BlockContext<T> context, ParameterVector<T> gradients)
    {
        CheckFilled(context);
        if (_isCompact)
        {
            throw new InvalidOperationException(
                $"{Name}: this is a copy for inference. Train the block or model that ToInference was called on.");
        }

        Parameters.RequireLayout(Name, gradients);
        if (dy.Tokens != (long)context.Batch * context.Length || dy.PaddedFeatures != PaddedWidth)
        {
            throw new ShapeMismatchException(
                $"{Name}: output gradient", $"{Amount.Of(context.Batch * context.Length, "token")} x {PaddedWidth}",
                $"{dy.Tokens} x {dy.PaddedFeatures}", "Give it the shape of the output.");
        }

        int keys = context.Past + context.Length;
        if (context.Options!.Cache is { } cache && (cache.Generation != context.CacheGeneration || cache.Length < keys))
        {
            throw new ShapeMismatchException(
                $"{Name}: KV cache", $"the {Amount.Of(keys, "token")} of the forward",
                $"a cache that was reset since and holds {cache.Length}",
                "Do not reset the cache between forward and backward.");
        }
    }

    private void CheckRows(string what, ReadOnlySpan<T> values, int batch, int length)
    {
        if (!Shape.Holds(values.Length, batch, length, Width))
        {
            throw Shape.Mismatch($"{Name}: {what}", values.Length, "Pass row-major [batch, length, width].", batch, length, Width);
        }

        for (int i = 0; i < values.Length; i++)
        {
            if (T.IsFinite(values[i])) continue;
            string place = $"sequence {i / Width / length}, token {i / Width % length}, feature {i % Width}";
            throw new NonFiniteException($"{Name}: {what}", $"value {values[i]} at {place}. {NonFinite.InputMend}");
        }
    }

    private void CheckCall(Panel<T> x, int batch, int length, ForwardOptions<T> options)
    {
        if (batch < 1 || length < 1 || x.Tokens != (long)batch * length || x.Features != Width || x.PaddedFeatures != PaddedWidth)
        {
            throw new ShapeMismatchException(
                $"{Name}: input", $"{batch} x {Amount.Of(length, "token")}, {Width} features in {PaddedWidth} rows",
                $"{Amount.Of(x.Tokens, "token")}, {x.Features} features in {x.PaddedFeatures} rows",
                "Reshape the panel to tokens x Width, PaddedWidth.");
        }

        CheckCall(batch, length, options);
    }

    private void CheckCall(int batch, int length, ForwardOptions<T> options)
    {
        int past = options.Cache?.Length ?? 0;
        if ((long)past + length > _config.MaxSequenceLength)
        {
            throw new TokenException(
                $"{Name}: {past} past and {length} new tokens are more than the maximum of {_config.MaxSequenceLength}. "
                + "Shorten the input, reset the cache, or build the model with a larger MaxSequenceLength.");
        }

        int keys = past + length;
        if (options.Cache is not null && !_config.Causal)
        {
            throw new InvalidSettingException(
                nameof(TransformerConfig.Causal), false,
                $"{Name} was given a KV cache, whose tokens never see what comes after them. Pass whole sequences without a cache, "
                + "or build a causal model.");
        }

        options.Cache?.Check(this, batch, _config.Heads, _config.HeadWidth, length);
        if (options.PaddingMask is { } padding && !Shape.Holds(padding.Length, batch, keys))
        {
            throw Shape.Mismatch($"{Name}: padding mask", padding.Length, "Give one byte a key, past included.", batch, keys);
        }

        if (options.AdditiveMask is not { } additive) return;
        if (!Shape.Holds(additive.Length, batch, 1, length, keys))
        {
            throw Shape.Mismatch(
                $"{Name}: additive mask", additive.Length, "Give one value a query and key, past included.", batch, 1, length, keys);
        }

        for (int i = 0; i < additive.Length; i++)
        {
            if (!T.IsNaN(additive[i]) && !T.IsPositiveInfinity(additive[i])) continue;
            throw new NonFiniteException(
                $"{Name}: additive mask", $"value {additive[i]} at element {i}. Use finite values, or -infinity to hide a key.");
        }
    }

    // What goes in is looked at first: the block is not at fault for it. A key of -infinity hides itself, and what comes out is finite.
    private void RequireFinite(Panel<T> x, Panel<T> y, Panel<T> qkv)
    {
        NonFiniteException? error = NonFinite.Find($"{Name}: input", x, "value", NonFinite.InputMend)
            ?? NonFinite.Find(Name, y, "its output is", NonFinite.Mend)
            ?? NonFinite.Find(Name, qkv, "its queries, keys or values are", NonFinite.Mend);
        if (error is not null) throw error;
    }

    private void RequireFiniteGradient(Panel<T> dy, Panel<T> dx)
    {
        NonFiniteException? error = NonFinite.Find($"{Name}: output gradient", dy, "value", NonFinite.InputMend)
            ?? NonFinite.Find($"{Name}: input gradient", dx, "value", NonFinite.Mend);
        if (error is not null) throw error;
    }

    /// <summary>One head of one sequence of a call, or of one document.</summary>
    internal MultiHeadAttention<T>.HeadCall HeadOf(BlockState<T> call, int item)
    {
        (int sequence, int head) = Math.DivRem(item, _config.Heads);
        if (call.Options.Documents is not { } documents)
        {
            return new(sequence, head, 0, call.Length, call.Length, call.Past, Layer, AttentionDropout, sequence + 1 == call.Batch);
        }

        (int first, int tokens) = documents[sequence];
        (int row, int offset) = Math.DivRem(first, call.Length);
        return new(row, head, offset, tokens, call.Length, 0, Layer, AttentionDropout, first + tokens == call.Tokens);
    }

    /// <summary>Whether a call drops values of the residuals.</summary>
    internal bool Drops(BlockState<T> call) => call.Options.Dropout is not null && _config.Dropout > 0;

    /// <summary>Dropout of a chunk, if the call drops.</summary>
    internal void Drop(BlockState<T> call, DropoutSite site, int chunk, T* block)
    {
        if (!Drops(call)) return;
        long first = ((long)call.Options.FirstSequence * call.Length) + ((long)chunk * call.Width);
        DropoutKernel.Apply(call.Options.Dropout!.Value.Key(Layer, site), _config.Dropout, block, 0, Width, first, call.Width);
    }
}
