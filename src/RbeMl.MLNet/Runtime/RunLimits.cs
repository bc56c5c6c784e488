using RbeMl.Layers;

namespace RbeMl.MLNet.Runtime;

/// <summary>How far the settings of a computation may go: beyond, they are slips of the pen that would take all memory.</summary>
internal static class RunLimits
{
    /// <summary>Rows that are read ahead and computed together.</summary>
    public const int Rows = 65_536;

    /// <summary>Tokens that are computed together.</summary>
    public const int Tokens = 1 << 20;

    /// <summary>Threads that a setting or a file may ask for.</summary>
    public const int Threads = WorkspacePool.MostThreads;

    /// <summary>Checks a number of rows.</summary>
    /// <exception cref="InvalidSettingException">It is outside 1 .. <see cref="Rows"/>.</exception>
    public static void CheckRows(string setting, int rows)
    {
        if (rows is < 1 or > Rows) throw new InvalidSettingException(setting, rows, $"use 1 for row by row, or up to {Rows}.");
    }

    /// <summary>Checks a number of tokens.</summary>
    /// <exception cref="InvalidSettingException">It is outside 0 .. <see cref="Tokens"/>.</exception>
    public static void CheckTokens(string setting, int tokens)
    {
        if (tokens is < 0 or > Tokens) throw new InvalidSettingException(setting, tokens, $"use 0 for row by row, or up to {Tokens}.");
    }

    /// <summary>Checks a number of tokens to generate.</summary>
    /// <exception cref="InvalidSettingException">It is outside 1 .. <see cref="Tokens"/>.</exception>
    public static void CheckNewTokens(string setting, int tokens)
    {
        if (tokens is < 1 or > Tokens) throw new InvalidSettingException(setting, tokens, $"use at least 1 token, at most {Tokens}.");
    }

    /// <summary>Checks a number of threads.</summary>
    /// <exception cref="InvalidSettingException">It is outside 0 .. <see cref="Threads"/>.</exception>
    public static void CheckThreads(int threads) => WorkspacePool.CheckThreads(threads);
}
