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
            for (int f = 0; f < features; f++) new Span<T>(source + (long)f * panel.Lanes, count).CopyTo(new Span<T>(target + f * stride + done, count));
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
            for (int f = 0; f < features; f++) new Span<T>(source + f * stride + done, count).CopyTo(new Span<T>(target + (long)f * panel.Lanes, count));
            done += count;
        }
    }
}
