namespace RbeMl.Cli;

/// <summary>Entry point of the <c>rbeml</c> command.</summary>
internal static class Program
{
    private static int Main() => 0;
}
