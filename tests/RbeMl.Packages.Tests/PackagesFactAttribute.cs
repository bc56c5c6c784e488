namespace RbeMl.Packages.Tests;

/// <summary>A test that packs, restores and builds, which takes a minute or more: only where it is asked for.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class PackagesFactAttribute : FactAttribute
{
    /// <summary>Asks for these tests with <c>1</c>.</summary>
    public const string Variable = "RBEML_TEST_PACKAGES";

    /// <summary>Skips the test where nobody asks, or where a needed program is missing.</summary>
    /// <param name="program">Programs of which one is needed, separated by commas; empty for none.</param>
    public PackagesFactAttribute(string program = "")
    {
        if (Environment.GetEnvironmentVariable(Variable) != "1") Skip = $"packs and installs, which takes minutes: set {Variable}=1";
        else if (program.Length > 0 && !program.Split(',').Any(Command.Exists)) Skip = $"needs {program.Replace(",", " or ")}, and none is on the path";
    }
}
