using System.Numerics;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Layers;

/// <summary>Says where a NaN or infinity was made.</summary>
internal static unsafe class NonFinite
{
    public const string InputMend = "Find where it was made before this layer.";
    public const string Mend = "Lower the learning rate, or look for a bad weight in this layer.";

    /// <summary>The error for the first value of a panel's tokens that is not finite, or null.</summary>
    /// <param name="where">The layer or tensor that the panel is the output of.</param>
    /// <param name="panel">The panel; its padding does not matter.</param>
    /// <param name="what">What the values are.</param>
    /// <param name="mend">What to do about it.</param>
    public static NonFiniteException? Find<T>(string where, Panel<T> panel, string what, string mend)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (FiniteSearch.AllFinite(panel.Pointer, panel.Length)) return null;
        for (int t = 0; t < panel.Tokens; t++)
        {
            for (int f = 0; f < panel.Features; f++)
            {
                if (T.IsFinite(panel[t, f])) continue;
                return new NonFiniteException(
                    where, FormattableString.Invariant($"{what} {panel[t, f]} at token {t}, feature {f}. {mend}"));
            }
        }

        return null;
    }
}
