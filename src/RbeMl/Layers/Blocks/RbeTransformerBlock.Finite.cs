using System.Numerics;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Layers;

/// <content>Where a NaN or infinity was made.</content>
public sealed unsafe partial class RbeTransformerBlock<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const string InputMend = "Find where it was made before this layer.", Mend = "Lower the learning rate, or look for a bad weight in this layer.";

    /// <summary>The error for the first value of a panel's tokens that is not finite, or null.</summary>
    /// <param name="where">The layer or tensor that the panel is the output of.</param>
    /// <param name="panel">The panel; its padding does not matter.</param>
    /// <param name="what">What the values are.</param>
    /// <param name="mend">What to do about it.</param>
    internal static NonFiniteException? FindNonFinite(string where, Panel<T> panel, string what, string mend)
    {
        if (FiniteSearch.AllFinite(panel.Pointer, panel.Length)) return null;
        for (int t = 0; t < panel.Tokens; t++)
        {
            for (int f = 0; f < panel.Features; f++)
            {
                if (!T.IsFinite(panel[t, f])) return new NonFiniteException(where, FormattableString.Invariant($"{what} {panel[t, f]} at token {t}, feature {f}. {mend}"));
            }
        }

        return null;
    }

    // What goes in is looked at first: the block is not at fault for it. A key of -infinity hides itself, and what comes out is finite.
    private void RequireFinite(Panel<T> x, Panel<T> y, Panel<T> qkv)
    {
        NonFiniteException? error = FindNonFinite($"{Name}: input", x, "value", InputMend)
            ?? FindNonFinite(Name, y, "its output is", Mend) ?? FindNonFinite(Name, qkv, "its queries, keys or values are", Mend);
        if (error is not null) throw error;
    }

    private void RequireFiniteGradient(Panel<T> dy, Panel<T> dx)
    {
        NonFiniteException? error = FindNonFinite($"{Name}: output gradient", dy, "value", InputMend) ?? FindNonFinite($"{Name}: input gradient", dx, "value", Mend);
        if (error is not null) throw error;
    }

    private void RequireFinite(DecodeCall<T> call)
    {
        long size = (long)call.Batch * PaddedWidth;
        if (FiniteSearch.AllFinite(call.Y, size) && FiniteSearch.AllFinite(call.Qkv, 3 * size)) return;
        NonFiniteException? error = Find($"{Name}: input", call.X, PaddedWidth, "value", InputMend)
            ?? Find(Name, call.Y, PaddedWidth, "its output is", Mend) ?? Find(Name, call.Qkv, 3 * PaddedWidth, "its queries, keys or values are", Mend);
        if (error is not null) throw error;

        NonFiniteException? Find(string where, T* vectors, int width, string what, string mend)
        {
            for (int i = 0; i < call.Batch * width; i++)
            {
                if (!T.IsFinite(vectors[i])) return new NonFiniteException(where, FormattableString.Invariant($"{what} {vectors[i]} at sequence {i / width}, feature {i % width}. {mend}"));
            }

            return null;
        }
    }
}
