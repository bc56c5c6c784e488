using RbeMl.Numerics;

namespace RbeMl.Memory;

/// <summary>Copies feature rows of consecutive tokens between a panel and a feature-major matrix <c>[feature][stride]</c>.</summary>
internal static unsafe class PanelRows
{
    /// <summary>target[f * stride + t] = panel(first token + t, first feature + f).</summary>
    public static void Gather<T>(Panel<T> panel, int firstFeature, int features, int firstToken, int tokens, T* target, long stride)
        where T : unmanaged
    {
        for (int done = 0; done < tokens;)
        {
            (int chunk, int lane) = Math.DivRem(firstToken + done, panel.Lanes);
            int count = Math.Min(panel.Lanes - lane, tokens - done);
            T* source = panel.Chunk(chunk) + (long)firstFeature * panel.Lanes + lane;
            Elementwise.CopyRows(source, panel.Lanes, target + done, stride, features, count);
            done += count;
        }
    }

    /// <summary>panel(first token + t, first feature + f) = source[f * stride + t].</summary>
    public static void Scatter<T>(T* source, long stride, Panel<T> panel, int firstFeature, int features, int firstToken, int tokens)
        where T : unmanaged
    {
        for (int done = 0; done < tokens;)
        {
            (int chunk, int lane) = Math.DivRem(firstToken + done, panel.Lanes);
            int count = Math.Min(panel.Lanes - lane, tokens - done);
            T* target = panel.Chunk(chunk) + (long)firstFeature * panel.Lanes + lane;
            Elementwise.CopyRows(source + done, stride, target, panel.Lanes, features, count);
            done += count;
        }
    }
}
