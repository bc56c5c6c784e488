using RbeMl.Tests.Files;

namespace RbeMl.Tests.Cli;

/// <summary>A training that takes a moment.</summary>
internal static class TinyJob
{
    public const string Text = "the cat sat on the mat and the dog sat on the log. ";

    /// <summary>Arguments of <c>finetune</c> on a small text; further ones replace or follow these.</summary>
    public static string[] Args(TemporaryFolder folder, params string[] more)
    {
        string text = folder.Write("text.txt", string.Concat(Enumerable.Repeat(Text, 40)));
        return ["finetune", .. Override(["--text", text, "--out", folder.File("out"), .. Shape, "--tokenizer", "characters", "--steps", "6"], more), .. more];
    }

    /// <summary>Options (each with a value) that <paramref name="more"/> does not give itself.</summary>
    public static IEnumerable<string> Override(string[] options, string[] more) =>
        options.Chunk(2).Where(pair => !more.Contains(pair[0])).SelectMany(pair => pair);

    /// <summary>A small model.</summary>
    public static string[] Shape =>
        ["--layers", "1", "--width", "32", "--heads", "2", "--context", "16", "--batch", "4", "--tile", "32", "--coefficients", "256", "--threads", "1"];

    /// <summary>Runs it and asserts that it succeeds.</summary>
    public static CommandRun Run(TemporaryFolder folder, params string[] more)
    {
        CommandRun run = CommandRun.Of(Args(folder, more));
        Assert.True(run.Code == 0, $"exit code {run.Code}: {run.Error}");
        return run;
    }
}
