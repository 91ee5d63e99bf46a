<!-- Constructed by hand for tests with the element names of a Vitis HLS project; not the file of any run. -->
<project xmlns="com.autoesl.autopilot.project" name="toy_top_prj" top="toy_top">
    <solutions>
        <solution name="solution1" status="active"/>
    </solutions>
</project>
