namespace RbeMl.Tests.Architecture;

/// <summary>What depends on the processor stands in few places.</summary>
public sealed class WidthTests
{
    [Fact]
    public void Instructions_of_one_processor_stand_in_kernels()
    {
        IEnumerable<string> found = SourceTree.Instance.Trees
            .Where(tree => tree.ToString().Contains("System.Runtime.Intrinsics.X86", StringComparison.Ordinal))
            .Select(tree => tree.FilePath)
            .Where(path => !path.StartsWith("src/RbeMl/Numerics/", StringComparison.Ordinal)
                && !path.StartsWith("src/RbeMl/Kernels/", StringComparison.Ordinal) && !path.StartsWith("src/RbeMl/Codec/Tiles/", StringComparison.Ordinal));
        Exceptions.Check("Only Numerics, Kernels and Codec/Tiles use instructions of x86.", found);
    }

    [Fact]
    public void One_place_chooses_the_width_of_vectors()
    {
        IEnumerable<string> found =
            SourceTree.Instance.Trees.Where(tree => tree.ToString().Contains(".IsHardwareAccelerated", StringComparison.Ordinal))
                .Select(tree => tree.FilePath).Where(path => path != "src/RbeMl/Numerics/Wide.cs");
        Exceptions.Check("Only Numerics/Wide.cs asks which widths the processor has.", found);
    }
}
